"""Jobs that Slack limits take turns: a DynamoDB row for each method and installation says when the next turn is free.

Without turns all of them come back at the same moment, a few succeed, and the others use up their tries. The first
turns are as far apart as Slack's usual limit asks, and twice as far after each job that was limited in its turn, up to
what Slack asks: so a line adapts to one call a minute as well as to fifty.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

GAP = 1.3  # seconds; 1.2 would be Slack's Tier 3, 50 calls a minute of each method
LONGEST_WAIT = 11 * 3600  # seconds; SQS hides a message for at most twelve hours
KEPT_SECONDS = 24 * 3600


class Turns:
    """The lines of one table; `client` is boto3's for DynamoDB, `clock` is in seconds since 1970."""

    def __init__(self, table: str, client: Any, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    def wait(self, line: str, job: str, retry_after: int, *, retried: bool) -> float:
        """Return the seconds until the turn of a job that Slack limits, or 0 if no other job is waiting."""
        while True:
            now = self._clock()
            before = self._read(line)
            free, gap, longest, last = json.loads(before) if before else (0.0, GAP, 0, "")
            alone = free <= now or last == job
            longest = max(longest, retry_after)
            if free <= now:
                gap = GAP
            elif retried and not alone:
                gap = min(2 * gap, max(GAP, 1.05 * longest))
            turn = now + retry_after if alone else min(max(free, now + retry_after), now + LONGEST_WAIT)
            if self._replace(line, before, json.dumps([turn + gap, gap, longest, job])):
                return 0 if alone else turn - now

    def _read(self, line: str) -> str | None:
        answer = self._client.get_item(TableName=self._table, Key=_key(line), ConsistentRead=True)
        return str(answer["Item"]["data"]["S"]) if "Item" in answer else None

    def _replace(self, line: str, before: str | None, after: str) -> bool:
        """Write a row unless another invocation was faster."""
        fields = {"data": {"S": after}, "status": {"S": "TURNS"}}
        expiration = {"expiration": {"N": str(int(self._clock() + KEPT_SECONDS))}}
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
