"""What each person thinks of each verdict: a row in the ledger's table, of ids, the verdict and its score. No text."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from . import response_url
from .errors import SlackError
from .feedback import AGREED, Opinion
from .ledger import table_errors
from .observability import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .jobs import Job
    from .settings import Settings

# A year: labelled messages are collected for longer than verdicts are remembered.
KEPT_SECONDS = 365 * 24 * 3600


THANKS = ":pray: Noted: you find this verdict {choice}. The other button changes it."


class Opinions:
    """The rows of one table; `client` is boto3's for DynamoDB, `clock` is in seconds since 1970."""

    def __init__(self, table: str, client: Any, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    def keep(self, opinion: Opinion) -> bool:
        """Keep an opinion in place of an older one of the same person; return whether it is new. Raises LedgerError."""
        data = {"choice": opinion.choice, "outcome": opinion.outcome, "score": opinion.score, "key": opinion.key}
        item = {
            "id": {"S": f"feedback#{opinion.key}#{opinion.user}"},
            "status": {"S": "FEEDBACK"},
            "data": {"S": json.dumps(data | {"user": opinion.user})},
            "at": {"N": f"{opinion.at:.6f}"},
            "expiration": {"N": str(int(self._clock()) + KEPT_SECONDS)},
        }
        with table_errors():
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression="attribute_not_exists(id) OR #at < :at",
                    ExpressionAttributeNames={"#at": "at"},
                    ExpressionAttributeValues={":at": item["at"]},
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return False
        return True

    def all(self) -> Iterator[Opinion]:
        """Yield all opinions, in no order; raises LedgerError."""
        with table_errors():
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table,
                FilterExpression="begins_with(id, :feedback)",
                ExpressionAttributeValues={":feedback": {"S": "feedback#"}},
            )
            for page in pages:
                yield from map(opinion_of, page["Items"])


def opinion_of(row: Mapping[str, Any]) -> Opinion:
    """Return the opinion in a row of the table."""
    data = json.loads(row["data"]["S"])
    return Opinion(data["key"], data["user"], data["choice"], data["outcome"], data["score"], float(row["at"]["N"]))


class Feedback:
    """Takes what people say of verdicts."""

    def __init__(self, settings: Settings, opinions: Opinions) -> None:
        self._settings = settings
        self._opinions = opinions

    def take(self, job: Job, given: Mapping[str, Any], *, retried: bool = True) -> str:  # noqa: ARG002 - a Handler
        """Keep one person's opinion of a verdict, and say so to that person; return how the job ended."""
        about = {name: job.detail[name] for name in ("key", "choice", "outcome", "score")}
        if not self._opinions.keep(Opinion(**about, user=job.reactor, at=float(job.detail["at"]))):
            return "feedback_known"
        choice = job.detail["choice"]
        count("FeedbackGiven", choice)
        thanks = THANKS.format(choice="right" if choice == AGREED else "wrong")
        # What counts is kept: it is not worth a second try, nor a direct message, if they do not see the thanks.
        with suppress(SlackError):
            more = {"replace_original": False}
            response_url.respond(job.detail.get("response_url", ""), thanks, self._settings.api_url, **more)
        return f"feedback_{choice}"
