"""Feedback on verdicts: a row in the ledger's table per person and verdict, with ids, verdict and score but no text."""

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

# Feedback is kept for longer than verdicts, so that labelled messages can be collected.
RETENTION_SECONDS = 365 * 24 * 3600


THANKS = ":pray: Noted: you find this verdict {choice}. The other button changes it."


class Opinions:
    """The rows of one table. `client` is a boto3 DynamoDB client; `clock` returns a Unix timestamp."""

    def __init__(self, table: str, client: Any, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    def save(self, opinion: Opinion) -> bool:
        """Save an opinion, replacing an older one by the same person. Return whether it is new. Raises LedgerError."""
        data = {"choice": opinion.choice, "outcome": opinion.outcome, "score": opinion.score, "key": opinion.key}
        item = {
            "id": {"S": f"feedback#{opinion.key}#{opinion.user}"},
            "status": {"S": "FEEDBACK"},
            "data": {"S": json.dumps(data | {"user": opinion.user})},
            "at": {"N": f"{opinion.at:.6f}"},
            "expiration": {"N": str(int(self._clock()) + RETENTION_SECONDS)},
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
        """Yield all opinions, in no particular order. Raises LedgerError."""
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
    """Handles the feedback on verdicts."""

    def __init__(self, settings: Settings, opinions: Opinions) -> None:
        self._settings = settings
        self._opinions = opinions

    def record(self, job: Job, content: Mapping[str, Any], *, retried: bool = True) -> str:  # noqa: ARG002 - a Handler
        """Save a person's opinion of a verdict and thank them. Return the job's outcome."""
        fields = {name: job.detail[name] for name in ("key", "choice", "outcome", "score")}
        if not self._opinions.save(Opinion(**fields, user=job.reactor, at=float(job.detail["at"]))):
            return "feedback_known"
        choice = job.detail["choice"]
        count("FeedbackGiven", choice)
        thanks = THANKS.format(choice="right" if choice == AGREED else "wrong")
        # The opinion is saved. If the thanks fail, they are not worth a retry or a direct message.
        with suppress(SlackError):
            more = {"replace_original": False}
            response_url.respond(job.detail.get("response_url", ""), thanks, self._settings.api_url, **more)
        return f"feedback_{choice}"
