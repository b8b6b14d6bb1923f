"""Cards in the moderators' channel: what they show, and what moderators do with them. The functions are pure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .message_text import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

State = Literal["looking", "resolved", "no_problem"]

LOOK, RESOLVED, NO_PROBLEM = "report_look", "report_resolved", "report_no_problem"
STATES: Mapping[str, State] = {LOOK: "looking", RESOLVED: "resolved", NO_PROBLEM: "no_problem"}
"""What each button, by its action id, makes of a card."""
MOST_SECTION_CHARACTERS = 3000

_LABELS = {LOOK: "I'll look", RESOLVED: "Resolved", NO_PROBLEM: "Not a problem"}
_SAID = {
    "looking": ":eyes: <@{by}> is looking at it, since {at}.",
    "resolved": ":white_check_mark: <@{by}> resolved it, {at}.",
    "no_problem": ":ok_hand: <@{by}> says it is not a problem, {at}.",
}
_STATE = "state"  # begins the id of the block that says it


@dataclass(frozen=True)
class Move:
    """What a moderator did with a card; `at` is in seconds since 1970."""

    state: State
    by: str
    at: float


def blocks(head: str, verdict: str, source: str, note: str = "", *, buttons: bool = True) -> list[dict[str, Any]]:
    """Return the blocks of a card that nobody has: where the message is, the verdict, and where the card comes from.

    All but the note are mrkdwn; the note is a person's own text, in which Slack shall not look for mentions and links.
    """
    shown = [_section(text) for text in (head, verdict) if text]
    if note.strip():
        quoted = "\n".join(f"> {line}" for line in escape(note).splitlines())
        shown += [_section(piece, verbatim=True) for piece in pieces(f"*Note*\n{quoted}")]
    return [*shown, _context(source), *([_buttons()] if buttons else [])]


def changed(shown: Sequence[Mapping[str, Any]], move: Move) -> list[dict[str, Any]]:
    """Return the blocks of a card, as Slack gives them, after a move."""
    kept = [
        # Slack asks for new ids in a message that changes, and makes them.
        {name: value for name, value in block.items() if name != "block_id"}
        for block in shown
        if block.get("type") != "actions" and not str(block.get("block_id")).startswith(_STATE)
    ]
    said = _context(said_of(move)) | {"block_id": _id_of(move)}
    return [*kept, said, *([_buttons()] if move.state == "looking" else [])]


def shows(shown: Sequence[Mapping[str, Any]], move: Move) -> bool:
    """Whether a card, whose blocks are as Slack gives them, says who made this move."""
    return any(block.get("block_id") == _id_of(move) for block in shown)


def _id_of(move: Move) -> str:
    return f"{_STATE}-{move.at:.6f}"


def said_of(move: Move) -> str:
    """Return who did what with a card, and when."""
    fallback = time.strftime("%F %H:%M UTC", time.gmtime(move.at))
    at = f"<!date^{int(move.at)}^{{date_short_pretty}} {{time}}|{fallback}>"
    return _SAID[move.state].format(by=move.by, at=at)


def pieces(text: str, most: int = MOST_SECTION_CHARACTERS) -> list[str]:
    """Return a text in pieces that each fit into one section, divided at the ends of lines where there are any."""
    found = []
    while len(text) > most:
        end = text.rfind("\n", 0, most + 1)
        end = end if end > 0 else most
        found.append(text[:end])
        text = text[end:].removeprefix("\n")
    return [*found, text] if text else found


def _buttons() -> dict[str, Any]:
    buttons = [
        {"type": "button", "action_id": action, "text": {"type": "plain_text", "text": label}}
        for action, label in _LABELS.items()
    ]
    return {"type": "actions", "elements": buttons}


def _section(text: str, *, verbatim: bool = False) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": verbatim}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
