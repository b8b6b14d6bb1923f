"""The states of cards: a row in the ledger's table for each card that a moderator has clicked on.

A row has the card's state, who set it and when. A conditional write prevents two moderators from taking the same card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cards import StateChange
from .ledger import RETENTION_SECONDS

if TYPE_CHECKING:
    from .table import Table

# After this time others can take a card, in case its moderator is on holiday.
MAX_HOLD_SECONDS = 24 * 3600


def apply(table: Table, card: str, change: StateChange) -> StateChange:
    """Apply a change if the card allows it. Return the change that is in effect now. Raises LedgerError.

    A free card allows every change. For a day after a moderator has taken it, only that moderator can close it. A card
    that is resolved or not a problem stays so.
    """
    row = {"status": "CARD", "state": change.state, "by": change.by, "at": change.at}
    free = "#at < :yesterday" if change.state == "looking" else "(#at < :yesterday OR #by = :by)"
    values: dict[str, str | float] = {"looking": "looking", "yesterday": change.at - MAX_HOLD_SECONDS}
    if change.state != "looking":
        values["by"] = change.by
    current = table.put(f"card#{card}", row, RETENTION_SECONDS, f"(#state = :looking AND {free})", **values)
    return StateChange(current["state"], current["by"], current["at"]) if current else change
