"""Make rate-limited jobs take turns. A DynamoDB row per method and installation holds the time of the next free turn.

Otherwise all jobs would return at the same moment, a few would succeed, and the rest would use up their attempts. Turns
start at the distance of Slack's usual limit. The distance doubles whenever a job is limited again in its turn, up to
the pause that Slack asks for. So a line of waiting jobs adapts to one call a minute as well as to fifty.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_GAP_SECONDS = 1.3  # Slack's Tier 3 allows a call of each method every 1.2 s, 50 a minute
MAX_WAIT_SECONDS = 11 * 3600  # SQS hides a message for at most twelve hours
RETENTION_SECONDS = 24 * 3600


class Turns:
    """The lines of one table. `client` is a boto3 DynamoDB client; `clock` returns a Unix timestamp."""

    def __init__(self, table: str, client: Any, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    def wait(self, line: str, job: str, retry_after: int, *, retried: bool) -> float:
        """Return the seconds until the turn of a rate-limited job, or 0 if no other job is waiting.

        `line` names an installation and a method, `job` is the id of the job's queue message.
        """
        while True:
            now = self._clock()
            before = self._read(line)
            free, gap, longest, last = json.loads(before) if before else (0.0, MIN_GAP_SECONDS, 0, "")
            alone = free <= now or last == job
            longest = max(longest, retry_after)
            if free <= now:
                gap = MIN_GAP_SECONDS
            elif retried and not alone:
                gap = min(2 * gap, max(MIN_GAP_SECONDS, 1.05 * longest))
            turn = now + retry_after if alone else min(max(free, now + retry_after), now + MAX_WAIT_SECONDS)
            if self._replace(line, before, json.dumps([turn + gap, gap, longest, job])):
                return 0 if alone else turn - now

    def _read(self, line: str) -> str | None:
        answer = self._client.get_item(TableName=self._table, Key=_key(line), ConsistentRead=True)
        return str(answer["Item"]["data"]["S"]) if "Item" in answer else None

    def _replace(self, line: str, before: str | None, after: str) -> bool:
        """Write a row unless another invocation has changed it. Return whether it was written."""
        fields = {"data": {"S": after}, "status": {"S": "TURNS"}}
        expiration = {"expiration": {"N": str(int(self._clock() + RETENTION_SECONDS))}}
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if before is not None:
            condition = {
                "ConditionExpression": "#data = :before",
                "ExpressionAttributeNames": {"#data": "data"},
                "ExpressionAttributeValues": {":before": {"S": before}},
            }
        try:
            self._client.put_item(TableName=self._table, Item=_key(line) | fields | expiration, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _key(line: str) -> dict[str, Any]:
    return {"id": {"S": f"turns#{line}"}}
