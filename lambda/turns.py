"""Jobs that Slack limits take turns: a DynamoDB row for each method and installation says when the next turn is free.

Without turns all of them come back at the same moment, a few succeed, and the others use up their tries. The first
turns are as far apart as Slack's usual limit asks, and twice as far after each job that was limited in its turn, up to
what Slack asks: so a line adapts to one call a minute as well as to fifty.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .table import Table

GAP = 1.3  # seconds; 1.2 would be Slack's Tier 3, 50 calls a minute of each method
LONGEST_WAIT = 11 * 3600  # seconds; SQS hides a message for at most twelve hours
KEPT_SECONDS = 24 * 3600


def wait(table: Table, line: str, job: str, retry_after: int, *, retried: bool) -> float:
    """Return the seconds until the turn of a job that Slack limits, or 0 if no other job is waiting.

    Raises LedgerError.
    """
    while True:
        now = table.clock()
        before = table.get(f"turns#{line}")
        free, gap, longest, last = json.loads(before["data"]) if before else (0.0, GAP, 0, "")
        alone = free <= now or last == job
        longest = max(longest, retry_after)
        if free <= now:
            gap = GAP
        elif retried and not alone:
            gap = min(2 * gap, max(GAP, 1.05 * longest))
        turn = now + retry_after if alone else min(max(free, now + retry_after), now + LONGEST_WAIT)
        row = {"status": "TURNS", "data": json.dumps([turn + gap, gap, longest, job])}
        unchanged = {"before": before["data"]} if before else {}
        if not table.put(f"turns#{line}", row, KEPT_SECONDS, "#data = :before" if before else "", **unchanged):
            return 0 if alone else turn - now  # else another invocation was faster
