"""Cards in the moderators' channel: their blocks, and the changes that moderators make. The functions are pure."""

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
"""The state that each button sets, by action id."""
MAX_SECTION_CHARACTERS = 3000

_LABELS = {LOOK: "I'll look", RESOLVED: "Resolved", NO_PROBLEM: "Not a problem"}
_STATE_LINES = {
    "looking": ":eyes: <@{by}> is looking at it, since {at}.",
    "resolved": ":white_check_mark: <@{by}> resolved it, {at}.",
    "no_problem": ":ok_hand: <@{by}> says it is not a problem, {at}.",
}
DELETED = ":wastebasket: The message was deleted, {at}."
EDITED = ":pencil2: The message was edited, {{at}}. Now: {verdict}"
# Id prefixes of two blocks: who has the card, and what happened to its message.
_STATE, _MESSAGE_STATUS = "state", "fate"


@dataclass(frozen=True)
class StateChange:
    """A moderator's change to a card. `at` is a Unix timestamp."""

    state: State
    by: str
    at: float


def blocks(head: str, verdict: str, source: str, note: str = "", *, buttons: bool = True) -> list[dict[str, Any]]:
    """Return the blocks of a new card: a link to the message, the verdict, and the source of the card.

    All but the note are mrkdwn. The note is a person's own text, so its mentions and links must not become active.
    """
    shown = [_section(text) for text in (head, verdict) if text]
    if note.strip():
        quoted = "\n".join(f"> {line}" for line in escape(note).splitlines())
        shown += [_section(piece, verbatim=True) for piece in split_text(f"*Note*\n{quoted}")]
    return [*shown, _context(source), *([_buttons()] if buttons else [])]


def with_state(shown: Sequence[Mapping[str, Any]], change: StateChange) -> list[dict[str, Any]]:
    """Return the blocks of a card after a change. `shown` are its blocks as Slack returns them."""
    kept = [
        _with_new_id(block, change.at)
        for block in shown
        if block.get("type") != "actions" and not _has_id_prefix(block, _STATE)
    ]
    line = _context(describe(change)) | {"block_id": _id_of(change)}
    return [*kept, line, *([_buttons()] if change.state == "looking" else [])]


def with_message_status(shown: Sequence[Mapping[str, Any]], line: str, at: float) -> list[dict[str, Any]]:
    """Return the blocks of a card with a line on what happened to its message, replacing an earlier line."""
    kept = [_with_new_id(block, at) for block in shown if not _has_id_prefix(block, _MESSAGE_STATUS)]
    buttons = [block for block in kept if block.get("type") == "actions"]
    status = _context(line.format(at=_date(at))) | {"block_id": f"{_MESSAGE_STATUS}-{at:.6f}"}
    return [*(block for block in kept if block not in buttons), status, *buttons]


def shows_change(shown: Sequence[Mapping[str, Any]], change: StateChange) -> bool:
    """Whether a card shows this change. `shown` are its blocks as Slack returns them."""
    return any(block.get("block_id") == _id_of(change) for block in shown)


def _id_of(change: StateChange) -> str:
    return f"{_STATE}-{change.at:.6f}"


def describe(change: StateChange) -> str:
    """Return a sentence on who changed a card, how and when."""
    return _STATE_LINES[change.state].format(by=change.by, at=_date(change.at))


def split_text(text: str, max_characters: int = MAX_SECTION_CHARACTERS) -> list[str]:
    """Split a text into pieces that each fit into one section, at line ends if possible."""
    found = []
    while len(text) > max_characters:
        end = text.rfind("\n", 0, max_characters + 1)
        end = end if end > 0 else max_characters
        found.append(text[:end])
        text = text[end:].removeprefix("\n")
    return [*found, text] if text else found


def _has_id_prefix(block: Mapping[str, Any], name: str) -> bool:
    return str(block.get("block_id")).startswith(f"{name}-")


def _with_new_id(block: Mapping[str, Any], at: float) -> dict[str, Any]:
    """Return a block with a new id, as Slack requires in an updated message. Slack creates missing ids."""
    names = [name for name in (_STATE, _MESSAGE_STATUS) if _has_id_prefix(block, name)]
    kept = {name: value for name, value in block.items() if name != "block_id"}
    return kept | ({"block_id": f"{names[0]}-{at:.6f}"} if names else {})


def _date(at: float) -> str:
    fallback = time.strftime("%F %H:%M UTC", time.gmtime(at))
    return f"<!date^{int(at)}^{{date_short_pretty}} {{time}}|{fallback}>"


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
