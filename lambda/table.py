"""Read and write rows of the DynamoDB table in which the ledger and others keep what they know.

Fields are texts and numbers. A row that may be somebody else's by now is written under a condition.
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
"""A condition that every row meets."""


@dataclass
class Table:
    """The rows of one table; `client` is boto3's, `clock` is in seconds since 1970. Its methods raise LedgerError."""

    name: str
    client: Any
    clock: Callable[[], float] = time.time

    def get(self, key: str) -> Row | None:
        """Return a row as it is now, if there is one."""
        with table_errors():
            answer = self.client.get_item(TableName=self.name, Key={"id": {"S": key}}, ConsistentRead=True)
        return _plain(answer["Item"]) if "Item" in answer else None

    def put(self, key: str, row: Mapping[str, Field], kept_seconds: int, or_if: str = "", **values: Field) -> Row:
        """Write a row if there is none, or if the one that is there meets a condition; else return that one.

        In the condition `#name` stands for a field of the row that is there, `:name` for one of the values.
        """
        item = {"id": key, **row, "expiration": int(self.clock()) + kept_seconds}
        asked = {
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
                    **{name: given for name, given in asked.items() if given},  # DynamoDB refuses empty ones
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
    """Raise a LedgerError for every error of the table."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise LedgerError(type(error).__name__) from error


def _typed(row: Mapping[str, Field]) -> dict[str, dict[str, str]]:
    return {name: {"S": one} if isinstance(one, str) else {"N": _number(one)} for name, one in row.items()}


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6f}"


def _plain(row: Mapping[str, Mapping[str, str]]) -> Row:
    return {name: one["S"] if "S" in one else float(one["N"]) for name, one in row.items()}
