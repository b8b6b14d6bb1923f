"""The changes of cards: rows in the ledger's table with a moderator's click and with what happened to the message.

Jobs write a row first and then let the card show all rows, so no update of the card can lose another job's change. A
conditional write prevents two moderators from taking the same card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .cards import MessageChange, StateChange, is_current, updated
from .ledger import RETENTION_SECONDS
from .slack_messages import CARD

if TYPE_CHECKING:
    from .slack_messages import SlackMessages
    from .table import Table

# After this time others can take a card, in case its moderator is on holiday.
MAX_HOLD_SECONDS = 24 * 3600


def find(
    slack: SlackMessages, channel: str, key: str, since: str, thread_ts: str | None = None
) -> dict[str, Any] | None:
    """Return the ledger's outcome for a card that Slack did not confirm, or None if there is none.

    Another job may have posted it. `report` is the id of that job's event. Who caused it is unknown.
    """
    post = slack.find_post(channel, thread_ts, key, since, kind=CARD)
    return {"report": str(post.payload().get("report", "")), "by": "", "post": post.ts} if post else None


def apply(table: Table, channel: str, ts: str, change: StateChange) -> StateChange:
    """Apply a click on a card if the card allows it. Return the change that is in effect now. Raises LedgerError.

    A free card allows every change. For a day after a moderator has taken it, only that moderator can close it. A card
    that is resolved or not a problem stays so.
    """
    row = {"status": "CARD", "state": change.state, "by": change.by, "at": change.at}
    free = "#at < :yesterday" if change.state == "looking" else "(#at < :yesterday OR #by = :by)"
    values: dict[str, str | float] = {"looking": "looking", "yesterday": change.at - MAX_HOLD_SECONDS}
    if change.state != "looking":
        values["by"] = change.by
    current = table.put(_key(channel, ts), row, RETENTION_SECONDS, f"(#state = :looking AND {free})", **values)
    return StateChange(current["state"], current["by"], current["at"]) if current else change


def note(table: Table, channel: str, ts: str, change: MessageChange) -> None:
    """Store what happened to the message of a card, unless a later change is stored. Raises LedgerError."""
    row: dict[str, str | float] = {"status": "CARD", "line": change.line, "at": change.at}
    table.put(f"{_key(channel, ts)}/message", row, RETENTION_SECONDS, "#at <= :at", at=change.at)


def show(table: Table, slack: SlackMessages, channel: str, ts: str) -> None:
    """Let a card show its changes. Raises LedgerError, and SlackError such as MessageGoneError if the card is gone."""
    changes, shown = _changes(table, channel, ts), None
    while changes != shown:
        card = slack.fetch(channel, ts)
        blocks = card.raw.get("blocks", [])
        if not is_current(blocks, *changes):
            slack.update(card, str(card.raw.get("text", "")), updated(blocks, *changes))
        # Another job may have written a change in the meantime, and this update may have overwritten it.
        changes, shown = _changes(table, channel, ts), changes


def _changes(table: Table, channel: str, ts: str) -> tuple[StateChange | None, MessageChange | None]:
    state, message = table.get(_key(channel, ts)), table.get(f"{_key(channel, ts)}/message")
    return (
        StateChange(state["state"], state["by"], state["at"]) if state else None,
        MessageChange(message["line"], message["at"]) if message else None,
    )


def _key(channel: str, ts: str) -> str:
    """Return the key of a card, without the owner: moderators of an enterprise click in several of its workspaces."""
    return f"card#{channel}/{ts}"
