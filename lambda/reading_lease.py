"""A lease that lets one worker at a time read a watched channel, for its own job and for the waiting ones.

A row per channel in the ledger's table holds the reader and the time when the lease expires.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import ClaimedError, RateLimitedError, SlackUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .table import Table

LEASE_SECONDS = 30  # the worker's timeout
RETENTION_SECONDS = 24 * 3600


@contextmanager
def reading(table: Table, channel: str, reader: str) -> Iterator[None]:
    """Hold the lease of a channel. Raises ClaimedError if another reader has it, and LedgerError.

    If Slack is unavailable, the lease stays: other readers would fail too. The same reader can acquire it again.
    """
    key = f"reading#{channel}"
    if wait := _acquire(table, key, reader, LEASE_SECONDS):
        raise ClaimedError("channel", math.ceil(wait))
    try:
        yield
    except RateLimitedError as error:
        _acquire(table, key, reader, 2 * error.retry_after)  # this reader's turn may come later than Slack asks
        raise
    except SlackUnavailableError:
        raise
    except BaseException:
        table.delete(key)
        raise
    table.delete(key)


def _acquire(table: Table, key: str, reader: str, seconds: float) -> float:
    """Acquire the lease for `seconds`. Return 0, or the seconds for which another reader still has it."""
    now = table.clock()
    row: dict[str, str | float] = {"status": "READING", "reader": reader, "until": now + seconds}
    other = table.put(key, row, RETENTION_SECONDS, "#until <= :now OR #reader = :reader", now=now, reader=reader)
    return max(0.001, float(other["until"]) - now) if other else 0
