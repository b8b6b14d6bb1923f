"""What each person thinks of each verdict: a row in the ledger's table, of ids, the verdict and its score. No text."""

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

# A year: labelled messages are collected for longer than verdicts are remembered.
KEPT_SECONDS = 365 * 24 * 3600

THANKS = ":pray: Noted: you find this verdict {choice}. The other button changes it."


def keep(table: Table, opinion: Opinion) -> bool:
    """Keep an opinion in place of an older one of the same person; return whether it is new. Raises LedgerError."""
    data = asdict(opinion)
    at = data.pop("at")
    row = {"status": "FEEDBACK", "data": json.dumps(data), "at": at}
    key = f"feedback#{opinion.key}#{opinion.user}"
    return not table.put(key, row, KEPT_SECONDS, "#at < :at", at=at)


def kept(table: Table) -> Iterator[Opinion]:
    """Yield all opinions, in no order; raises LedgerError."""
    with table_errors():
        for row in scan(table.client, table.name, "feedback"):
            yield Opinion(**json.loads(row["data"]["S"]), at=float(row["at"]["N"]))


def take(job: Job, settings: Settings, table: Table) -> str:
    """Keep one person's opinion of a verdict, and say so to that person; return how the job ended."""
    about = {name: job.detail[name] for name in ("key", "choice", "outcome", "score")}
    if not keep(table, Opinion(**about, user=job.reactor, at=float(job.detail["at"]))):
        return "feedback_known"
    choice = job.detail["choice"]
    count("FeedbackGiven", choice)
    thanks = THANKS.format(choice="right" if choice == AGREED else "wrong")
    # What counts is kept: it is not worth a second try, nor a direct message, if they do not see the thanks.
    with suppress(SlackError):
        response_url.respond(job.detail.get("response_url", ""), thanks, settings.api_url, replace_original=False)
    return f"feedback_{choice}"
