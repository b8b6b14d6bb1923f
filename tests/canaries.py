"""Every Slack block and element, and some that slack_sdk lacks, with a unique word in each field.

They are defined in `canaries.yaml`. Fields without words contain `unread`, which must never be read.
"""

import itertools
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
UNREAD = "unread"
URL = f"https://example.com/{UNREAD}"


class Word:
    """Creates unique words and remembers them."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.made: list[str] = []

    def __call__(self) -> str:
        self.made.append(f"canary{next(self._numbers)}")
        return self.made[-1]


def filled(template: Json, word: Word, **inside: list[Json]) -> Json:
    """Return a template with a new word for each `canary`, and with nested content: BLOCKS, ATTACHMENTS."""
    text = re.sub("canary", lambda _: word(), json.dumps(template))
    for name, value in inside.items():
        text = text.replace(f'"{name}"', json.dumps(value))
    filled: Json = json.loads(text)
    return filled


_TEMPLATES: dict[str, list[Json]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
_ACTIONS = [{"type": "actions", "elements": [element]} for element in _TEMPLATES["elements"]]
_PLAIN = {"type": "plain_text", "text": "canary"}
_INPUTS = [{"type": "input", "label": _PLAIN, "hint": _PLAIN, "element": element} for element in _TEMPLATES["inputs"]]

BLOCKS = [partial(filled, block) for block in (*_TEMPLATES["blocks"], *_ACTIONS, *_INPUTS)]
AROUND_BLOCKS, AROUND_MESSAGES = (
    [partial(filled, template) for template in _TEMPLATES[name]] for name in ("around_blocks", "around_messages")
)
