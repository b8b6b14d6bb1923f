"""One worker at a time reads a watched channel, for itself and for the jobs that wait.

A row in the ledger's table for each channel says who reads it and until when at most.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import ClaimedError, RateLimitedError, SlackUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .table import Table

SECONDS = 30  # the worker's time-out
KEPT_SECONDS = 24 * 3600


@contextmanager
def reading(table: Table, channel: str, reader: str) -> Iterator[None]:
    """Hold the lease of a channel. Raises ClaimedError if another reader has it, LedgerError.

    If Slack is not available the lease stays, since nobody else would fare better; the same reader takes it again.
    """
    key = f"reading#{channel}"
    if wait := _taken(table, key, reader, SECONDS):
        raise ClaimedError("channel", math.ceil(wait))
    try:
        yield
    except RateLimitedError as error:
        _taken(table, key, reader, 2 * error.retry_after)  # this reader's turn comes later than Slack asks
        raise
    except SlackUnavailableError:
        raise
    except BaseException:
        table.delete(key)
        raise
    table.delete(key)


def _taken(table: Table, key: str, reader: str, seconds: float) -> float:
    """Take the lease for so long; return the seconds for which another reader has it, or 0."""
    now = table.clock()
    row: dict[str, str | float] = {"status": "READING", "reader": reader, "until": now + seconds}
    other = table.put(key, row, KEPT_SECONDS, "#until <= :now OR #reader = :reader", now=now, reader=reader)
    return max(0.001, float(other["until"]) - now) if other else 0
