"""Cards in the moderators' channel: their blocks, and the changes that moderators make. The functions are pure."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

State = Literal["looking", "resolved", "no_problem"]

LOOK, RESOLVED, NO_PROBLEM = "report_look", "report_resolved", "report_no_problem"
STATES: Mapping[str, State] = {LOOK: "looking", RESOLVED: "resolved", NO_PROBLEM: "no_problem"}
"""The state that each button sets, by action id."""

_LABELS = {LOOK: "I'll look", RESOLVED: "Resolved", NO_PROBLEM: "Not a problem"}
_STATE_LINES = {
    "looking": ":eyes: <@{by}> is looking at it, since {at}.",
    "resolved": ":white_check_mark: <@{by}> resolved it, {at}.",
    "no_problem": ":ok_hand: <@{by}> says it is not a problem, {at}.",
}
# Id prefixes of two blocks: who has the card, and what happened to its message.
_STATE, _MESSAGE = "state", "fate"


@dataclass(frozen=True)
class StateChange:
    """A moderator's change to a card. `at` is a Unix timestamp."""

    state: State
    by: str
    at: float


@dataclass(frozen=True)
class MessageChange:
    """What happened to the message of a card, as a line in mrkdwn. `at` is a Unix timestamp."""

    line: str
    at: float


def deleted(at: float) -> MessageChange:
    """Return the change of a card whose message was deleted."""
    return MessageChange(f":wastebasket: The message was deleted, {_date(at)}.", at)


def edited(at: float, verdict: str) -> MessageChange:
    """Return the change of a card whose message was edited. `verdict` is one line on the edited message."""
    return MessageChange(f":pencil2: The message was edited, {_date(at)}. Now: {verdict}", at)


def blocks(head: str, verdict: str, source: str, note: str = "", *, buttons: bool = True) -> list[dict[str, Any]]:
    """Return the blocks of a new card: a link to the message, the verdict, and the source of the card.

    All but the note are mrkdwn. The note is a person's own text, so nothing in it may become active, or look like the
    bot's own lines.
    """
    shown = [_section(text) for text in (head, verdict) if text]
    if note.strip():
        quote = {"type": "rich_text_quote", "elements": [{"type": "text", "text": note}]}
        shown += [_section("*Note*"), {"type": "rich_text", "elements": [quote]}]
    return [*shown, _context(source), *([_buttons()] if buttons else [])]


def is_current(shown: Sequence[Mapping[str, Any]], state: StateChange | None, message: MessageChange | None) -> bool:
    """Whether a card shows these changes. `shown` are its blocks as Slack returns them."""
    ids = {block.get("block_id") for block in shown}
    return all(line["block_id"] in ids for line in _lines(state, message))


def updated(
    shown: Sequence[Mapping[str, Any]], state: StateChange | None, message: MessageChange | None
) -> list[dict[str, Any]]:
    """Return the blocks of a card with a line for each change, after the content and before the buttons.

    The line of an earlier change stays if the change is None.
    """
    lines = _lines(state, message)
    replaced = [_prefix(line) for line in lines]
    kept = [_with_new_id(block, _revision(state, message)) for block in shown if _prefix(block) not in replaced]
    buttons = [block for block in kept if block.get("type") == "actions"]
    if state:
        buttons = [_buttons()] if state.state == "looking" else []
    return [*(block for block in kept if block.get("type") != "actions"), *lines, *buttons]


def _lines(state: StateChange | None, message: MessageChange | None) -> list[dict[str, Any]]:
    """Return a block for each change."""
    texts = {_STATE: describe(state) if state else "", _MESSAGE: message.line if message else ""}
    revision = _revision(state, message)
    return [_context(text) | {"block_id": f"{prefix}-{revision}"} for prefix, text in texts.items() if text]


def _revision(*changes: StateChange | MessageChange | None) -> str:
    """Return a short name of these changes. Times do not identify them: those of messages are in whole seconds."""
    return f"{zlib.crc32(repr(changes).encode()):08x}"


def describe(change: StateChange) -> str:
    """Return a sentence on who changed a card, how and when."""
    return _STATE_LINES[change.state].format(by=change.by, at=_date(change.at))


def _prefix(block: Mapping[str, Any]) -> str:
    """Return the id prefix of a line, or an empty string for any other block."""
    prefix = str(block.get("block_id")).partition("-")[0]
    return prefix if prefix in (_STATE, _MESSAGE) else ""


def _with_new_id(block: Mapping[str, Any], revision: str) -> dict[str, Any]:
    """Return a block with a new id, as Slack requires in an updated message. Slack creates missing ids."""
    prefix = _prefix(block)
    kept = {name: value for name, value in block.items() if name != "block_id"}
    return kept | ({"block_id": f"{prefix}-{revision}"} if prefix else {})


def _date(at: float) -> str:
    fallback = time.strftime("%F %H:%M UTC", time.gmtime(at))
    return f"<!date^{int(at)}^{{date_short_pretty}} {{time}}|{fallback}>"


def _buttons() -> dict[str, Any]:
    buttons = [
        {"type": "button", "action_id": action, "text": {"type": "plain_text", "text": label}}
        for action, label in _LABELS.items()
    ]
    return {"type": "actions", "elements": buttons}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
