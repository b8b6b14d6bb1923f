"""Feedback on verdicts: a row in the ledger's table per person and verdict, with ids, verdict and score but no text."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from . import response_url
from .errors import SlackError
from .feedback import AGREED, Opinion
from .observability import count
from .table import table_errors
from .tally import scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .jobs import Job
    from .settings import Settings
    from .table import Table

# Feedback is kept for longer than verdicts, so that labelled messages can be collected.
RETENTION_SECONDS = 365 * 24 * 3600

THANKS = ":pray: Noted: you find this verdict {choice}. The other button changes it."


def save(table: Table, opinion: Opinion) -> bool:
    """Save an opinion, replacing an older one by the same person. Return whether it is new. Raises LedgerError."""
    data = asdict(opinion)
    at = data.pop("at")
    row = {"status": "FEEDBACK", "data": json.dumps(data), "at": at}
    key = f"feedback#{opinion.key}#{opinion.user}"
    return not table.put(key, row, RETENTION_SECONDS, "#at < :at", at=at)


def all_opinions(table: Table) -> Iterator[Opinion]:
    """Yield all opinions, in no particular order. Raises LedgerError."""
    with table_errors():
        for row in scan(table.client, table.name, "feedback"):
            yield Opinion(**json.loads(row["data"]["S"]), at=float(row["at"]["N"]))


def record(job: Job, settings: Settings, table: Table) -> str:
    """Save a person's opinion of a verdict and thank them. Return the job's outcome."""
    fields = {name: job.detail[name] for name in ("key", "choice", "outcome", "score")}
    if not save(table, Opinion(**fields, user=job.reactor, at=float(job.detail["at"]))):
        return "feedback_known"
    choice = job.detail["choice"]
    count("FeedbackGiven", choice)
    thanks = THANKS.format(choice="right" if choice == AGREED else "wrong")
    # The opinion is saved. If the thanks fail, they are not worth a retry or a direct message.
    with suppress(SlackError):
        response_url.respond(job.detail, thanks, settings.api_url, replace_original=False)
    return f"feedback_{choice}"
