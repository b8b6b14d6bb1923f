"""Make rate-limited jobs take turns. A DynamoDB row per method and installation holds the time of the next free turn.

Otherwise all jobs would return at the same moment, a few would succeed, and the rest would use up their attempts. Turns
start at the distance of Slack's usual limit. The distance doubles whenever a job is limited again in its turn, up to
the pause that Slack asks for. So a line of waiting jobs adapts to one call a minute as well as to fifty.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .table import Table

MIN_GAP_SECONDS = 1.3  # Slack's Tier 3 allows a call of each method every 1.2 s, 50 a minute
MAX_WAIT_SECONDS = 11 * 3600  # SQS hides a message for at most twelve hours
RETENTION_SECONDS = 24 * 3600


def wait(table: Table, line: str, job: str, retry_after: int, *, retried: bool) -> float:
    """Return the seconds until the turn of a rate-limited job, or 0 if no other job is waiting.

    `line` names an installation and a method, `job` is the id of the job's queue message. Raises LedgerError.
    """
    while True:
        now = table.clock()
        before = table.get(f"turns#{line}")
        free, gap, longest, last = json.loads(before["data"]) if before else (0.0, MIN_GAP_SECONDS, 0, "")
        alone = free <= now or last == job
        longest = max(longest, retry_after)
        if free <= now:
            gap = MIN_GAP_SECONDS
        elif retried and not alone:
            gap = min(2 * gap, max(MIN_GAP_SECONDS, 1.05 * longest))
        turn = now + retry_after if alone else min(max(free, now + retry_after), now + MAX_WAIT_SECONDS)
        row = {"status": "TURNS", "data": json.dumps([turn + gap, gap, longest, job])}
        unchanged = {"before": before["data"]} if before else {}
        if not table.put(f"turns#{line}", row, RETENTION_SECONDS, "#data = :before" if before else "", **unchanged):
            return 0 if alone else turn - now  # else another invocation was faster
