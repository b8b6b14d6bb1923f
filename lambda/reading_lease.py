"""One worker at a time reads a watched channel, for itself and for the jobs that wait.

A DynamoDB row for each channel says who reads it and until when at most.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from .errors import ClaimedError, RateLimitedError, SlackUnavailableError
from .ledger import table_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 30  # the worker's time-out


class ReadingLease:
    """The leases of one table; `client` is boto3's for DynamoDB, `clock` is in seconds since 1970."""

    def __init__(self, table: str, client: Any, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    @contextmanager
    def held(self, channel: str, reader: str) -> Iterator[None]:
        """Hold the lease of a channel. Raises ClaimedError if another reader has it, LedgerError.

        If Slack is not available the lease stays, since nobody else would fare better; the same reader takes it again.
        """
        if wait := self._taken(channel, reader):
            raise ClaimedError("channel", math.ceil(wait))
        try:
            yield
        except RateLimitedError as error:
            self._taken(channel, reader, 2 * error.retry_after)  # this reader's turn comes later than Slack asks
            raise
        except SlackUnavailableError:
            raise
        except BaseException:
            self._give_back(channel)
            raise
        self._give_back(channel)

    def _taken(self, channel: str, reader: str, seconds: float = SECONDS) -> float:
        """Take the lease for so long; return the seconds for which another reader has it, or 0."""
        now = self._clock()
        item = _id(channel) | {
            "status": {"S": "READING"},
            "reader": {"S": reader},
            "until": {"N": f"{now + seconds:.3f}"},
            "expiration": {"N": str(int(now + 24 * 3600))},
        }
        with table_errors():
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression="attribute_not_exists(id) OR #until <= :now OR #reader = :reader",
                    ExpressionAttributeNames={"#until": "until", "#reader": "reader"},
                    ExpressionAttributeValues={":now": {"N": f"{now:.3f}"}, ":reader": item["reader"]},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return max(0.001, float(error.response["Item"]["until"]["N"]) - now)  # type: ignore[typeddict-item]
        return 0

    def _give_back(self, channel: str) -> None:
        with table_errors():
            self._client.delete_item(TableName=self._table, Key=_id(channel))


def _id(channel: str) -> dict[str, dict[str, str]]:
    return {"id": {"S": f"reading#{channel}"}}
