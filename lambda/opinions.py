"""What each person thinks of each verdict: a row in the ledger's table, of ids, the verdict and its score. No text."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from .feedback import Opinion
from .ledger import table_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# A year: labelled messages are collected for longer than verdicts are remembered.
KEPT_SECONDS = 365 * 24 * 3600


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
