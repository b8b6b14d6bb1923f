"""Right or wrong: Slack's feedback buttons below a verdict, and what a click on one says. The functions are pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from .cards import pieces
from .verdicts import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTION_ID = "verdict_feedback"
AGREED, DISAGREED = "agreed", "disagreed"

_LABELS = {AGREED: ("Right", "This verdict is right"), DISAGREED: ("Wrong", "This verdict is wrong")}
_FIELDS = {
    "choice": re.compile(f"{AGREED}|{DISAGREED}"),
    "key": re.compile(r"[A-Z0-9]{2,32}/[A-Z0-9]{2,32}/[0-9]{1,12}\.[0-9]{1,9}/[0-9a-f]{8}"),
    "outcome": re.compile("|".join(get_args(Outcome))),
    "score": re.compile(r"|[01]\.[0-9]{4}"),
}


@dataclass(frozen=True)
class Opinion:
    """What somebody thinks of a verdict. `score` is empty if there was none; `at` is in seconds since 1970."""

    key: str
    """The ledger's, of the message as it was judged."""
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
    """Return a verdict with the two buttons below it; `figures` are the verdict's own."""
    sections = [{"type": "section", "text": {"type": "mrkdwn", "text": piece}} for piece in pieces(text)]
    return [*sections, _feedback(key, figures)]


def read(value: object) -> dict[str, str] | None:
    """Return the fields of the value of a button that `verdict_blocks` made, or None."""
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
