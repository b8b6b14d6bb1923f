"""Which moderator has which card: a row in the ledger's table for each card that somebody has clicked on.

A row has the card's state, who set it and when. A conditional write keeps two moderators from taking one card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cards import Move
from .ledger import KEPT_SECONDS

if TYPE_CHECKING:
    from .table import Table

# Somebody who took a card and went on holiday does not keep it.
TAKEN_SECONDS = 24 * 3600


def make(table: Table, card: str, move: Move) -> Move:
    """Make a move if the card allows it; return the move that holds now. Raises LedgerError.

    A card that nobody has allows every move; one that somebody has had for less than a day allows that person to
    end it. What is resolved or no problem stays so.
    """
    row = {"status": "CARD", "state": move.state, "by": move.by, "at": move.at}
    free = "#at < :yesterday" if move.state == "looking" else "(#at < :yesterday OR #by = :by)"
    values: dict[str, str | float] = {"looking": "looking", "yesterday": move.at - TAKEN_SECONDS}
    if move.state != "looking":
        values["by"] = move.by
    holds = table.put(f"card#{card}", row, KEPT_SECONDS, f"(#state = :looking AND {free})", **values)
    return Move(holds["state"], holds["by"], holds["at"]) if holds else move
