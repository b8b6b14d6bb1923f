"""A lease that lets one worker at a time read a watched channel, for its own job and for the waiting ones.

A DynamoDB row per channel holds the reader and the time when the lease expires.
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

LEASE_SECONDS = 30  # the worker's timeout


class ReadingLease:
    """The leases of one table. `client` is a boto3 DynamoDB client; `clock` returns a Unix timestamp."""

    def __init__(self, table: str, client: Any, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    @contextmanager
    def held(self, channel: str, reader: str) -> Iterator[None]:
        """Hold the lease of a channel. Raises ClaimedError if another reader has it, and LedgerError.

        If Slack is unavailable, the lease stays: other readers would fail too. The same reader can acquire it again.
        """
        if wait := self._acquire(channel, reader):
            raise ClaimedError("channel", math.ceil(wait))
        try:
            yield
        except RateLimitedError as error:
            self._acquire(channel, reader, 2 * error.retry_after)  # this reader's turn may come later than Slack asks
            raise
        except SlackUnavailableError:
            raise
        except BaseException:
            self._release(channel)
            raise
        self._release(channel)

    def _acquire(self, channel: str, reader: str, seconds: float = LEASE_SECONDS) -> float:
        """Acquire the lease for `seconds`. Return 0, or the seconds for which another reader still has it."""
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

    def _release(self, channel: str) -> None:
        with table_errors():
            self._client.delete_item(TableName=self._table, Key=_id(channel))


def _id(channel: str) -> dict[str, dict[str, str]]:
    return {"id": {"S": f"reading#{channel}"}}
