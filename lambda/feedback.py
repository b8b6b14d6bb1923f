"""Slack's feedback buttons below a verdict, Right and Wrong, and the values of their clicks. The functions are pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from .verdicts import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTION_ID = "verdict_feedback"
AGREED, DISAGREED = "agreed", "disagreed"

MAX_SECTION_CHARACTERS = 3000
_LABELS = {AGREED: ("Right", "This verdict is right"), DISAGREED: ("Wrong", "This verdict is wrong")}
_FIELDS = {
    "choice": re.compile(f"{AGREED}|{DISAGREED}"),
    "key": re.compile(r"[A-Z0-9]{2,32}/[A-Z0-9]{2,32}/[0-9]{1,12}\.[0-9]{1,9}/[0-9a-f]{8}"),
    "outcome": re.compile("|".join(get_args(Outcome))),
    "score": re.compile(r"|[01]\.[0-9]{4}"),
}


@dataclass(frozen=True)
class Opinion:
    """A person's opinion of a verdict. `score` is empty if the verdict has none; `at` is a Unix timestamp."""

    key: str
    """The ledger key of the message as it was judged."""
    user: str
    choice: str
    outcome: str
    score: str
    at: float

    @property
    def team(self) -> str:
        return self.key.split("/")[0]

    @property
    def channel(self) -> str:
        return self.key.split("/")[1]

    @property
    def ts(self) -> str:
        return self.key.split("/")[2]


def verdict_blocks(text: str, key: str, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of a verdict with the two buttons below it. `figures` are those of the verdict."""
    sections = [{"type": "section", "text": {"type": "mrkdwn", "text": piece}} for piece in split_text(text)]
    return [*sections, _feedback(key, figures)]


def split_text(text: str, max_characters: int = MAX_SECTION_CHARACTERS) -> list[str]:
    """Split a text into pieces that each fit into one section, at line ends if possible."""
    found = []
    while len(text) > max_characters:
        end = text.rfind("\n", 0, max_characters + 1)
        end = end if end > 0 else max_characters
        found.append(text[:end])
        text = text[end:].removeprefix("\n")
    return [*found, text] if text else found


def read(value: object) -> dict[str, str] | None:
    """Parse the value of a button from `verdict_blocks`. Return its fields, or None if it is malformed."""
    try:
        fields = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or fields.keys() != _FIELDS.keys():
        return None
    good = (isinstance(fields[name], str) and form.fullmatch(fields[name]) for name, form in _FIELDS.items())
    return fields if all(good) else None


def _feedback(key: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    score = f"{figures['score']:.4f}" if "score" in figures else ""
    element: dict[str, Any] = {"type": "feedback_buttons", "action_id": ACTION_ID}
    for name, choice in (("positive_button", AGREED), ("negative_button", DISAGREED)):
        text, label = _LABELS[choice]
        value = {"choice": choice, "key": key, "outcome": figures["outcome"], "score": score}
        element[name] = {
            "text": {"type": "plain_text", "text": text},
            "accessibility_label": label,
            "value": json.dumps(value, separators=(",", ":")),
        }
    return {"type": "context_actions", "elements": [element]}
