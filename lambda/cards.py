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
DELETED = ":wastebasket: The message was deleted, {at}."
EDITED = ":pencil2: The message was edited, {{at}}. Now: {verdict}"
_STATE, _FATE = "state", "fate"  # begin the ids of the blocks that say who has the card, and what became of the message


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
    kept = [_renewed(block, move.at) for block in shown if block.get("type") != "actions" and not _is(block, _STATE)]
    said = _context(said_of(move)) | {"block_id": _id_of(move)}
    return [*kept, said, *([_buttons()] if move.state == "looking" else [])]


def with_fate(shown: Sequence[Mapping[str, Any]], line: str, at: float) -> list[dict[str, Any]]:
    """Return the blocks of a card with a line on what became of its message, in place of an earlier one."""
    kept = [_renewed(block, at) for block in shown if not _is(block, _FATE)]
    buttons = [block for block in kept if block.get("type") == "actions"]
    said = _context(line.format(at=_date(at))) | {"block_id": f"{_FATE}-{at:.6f}"}
    return [*(block for block in kept if block not in buttons), said, *buttons]


def shows(shown: Sequence[Mapping[str, Any]], move: Move) -> bool:
    """Whether a card, whose blocks are as Slack gives them, says who made this move."""
    return any(block.get("block_id") == _id_of(move) for block in shown)


def _id_of(move: Move) -> str:
    return f"{_STATE}-{move.at:.6f}"


def said_of(move: Move) -> str:
    """Return who did what with a card, and when."""
    return _SAID[move.state].format(by=move.by, at=_date(move.at))


def pieces(text: str, most: int = MOST_SECTION_CHARACTERS) -> list[str]:
    """Return a text in pieces that each fit into one section, divided at the ends of lines where there are any."""
    found = []
    while len(text) > most:
        end = text.rfind("\n", 0, most + 1)
        end = end if end > 0 else most
        found.append(text[:end])
        text = text[end:].removeprefix("\n")
    return [*found, text] if text else found


def _is(block: Mapping[str, Any], name: str) -> bool:
    return str(block.get("block_id")).startswith(f"{name}-")


def _renewed(block: Mapping[str, Any], at: float) -> dict[str, Any]:
    """Return a block with a new id, which Slack asks for in a message that changes, and makes if there is none."""
    names = [name for name in (_STATE, _FATE) if _is(block, name)]
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
