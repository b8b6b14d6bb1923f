"""Read and write rows of the DynamoDB table that the ledger and other modules share.

Fields are strings and numbers. Writes are conditional, because another worker may have changed the row.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from .errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Field = str | float
    Row = dict[str, Any]

ALWAYS = "attribute_exists(id)"
"""A condition that every existing row meets."""


@dataclass
class Table:
    """The rows of one table. `client` is a boto3 DynamoDB client; `clock` returns a Unix timestamp.

    Its methods raise LedgerError.
    """

    name: str
    client: Any
    clock: Callable[[], float] = time.time

    def get(self, key: str) -> Row | None:
        """Return the current row, or None."""
        with table_errors():
            answer = self.client.get_item(TableName=self.name, Key={"id": {"S": key}}, ConsistentRead=True)
        return _plain(answer["Item"]) if "Item" in answer else None

    def put(self, key: str, row: Mapping[str, Field], retention_seconds: int, or_if: str = "", **values: Field) -> Row:
        """Write a row if there is none, or if the existing row meets a condition. Otherwise return the existing row.

        An empty row means that the write succeeded. In the condition, `#name` is a field of the existing row and
        `:name` one of the values.
        """
        item = {"id": key, **row, "expiration": int(self.clock()) + retention_seconds}
        options = {
            "ExpressionAttributeNames": {name: name[1:] for name in re.findall(r"#\w+", or_if)},
            "ExpressionAttributeValues": _typed({f":{name}": value for name, value in values.items()}),
        }
        with table_errors():
            try:
                self.client.put_item(
                    TableName=self.name,
                    Item=_typed(item),
                    ConditionExpression=" OR ".join(filter(None, ["attribute_not_exists(id)", or_if])),
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **{name: option for name, option in options.items() if option},  # DynamoDB rejects empty ones
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return _plain(error.response["Item"])  # type: ignore[typeddict-item]
        return {}

    def delete(self, key: str) -> None:
        """Remove a row."""
        with table_errors():
            self.client.delete_item(TableName=self.name, Key={"id": {"S": key}})


@contextmanager
def table_errors() -> Iterator[None]:
    """Convert every error of the table to a LedgerError."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise LedgerError(type(error).__name__) from error


def _typed(row: Mapping[str, Field]) -> dict[str, dict[str, str]]:
    return {name: {"S": field} if isinstance(field, str) else {"N": _number(field)} for name, field in row.items()}


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6f}"


def _plain(row: Mapping[str, Mapping[str, str]]) -> Row:
    return {name: field["S"] if "S" in field else float(field["N"]) for name, field in row.items()}
