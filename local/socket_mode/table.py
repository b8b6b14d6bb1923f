"""A table in a SQLite file, with the calls of boto3's DynamoDB client that the bot makes. moto reads conditions."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from local.socket_mode.answered_calls import RefusedCallError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from sqlite3 import Connection

    from local.socket_mode.answered_calls import Operations
    from local.socket_mode.file import SqliteFile

Row = dict[str, Any]
_SET = re.compile(r"SET ([#\w]+ = :\w+(, [#\w]+ = :\w+)*)")


class SqliteTable:
    """The one table of a file, with the key `id`; rows that have expired are removed when it is opened."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        with file.change() as connection:
            connection.execute("DELETE FROM rows WHERE expiration < ?", [int(time.time())])

    @property
    def operations(self) -> Operations:
        return {
            "PutItem": self.put_item,
            "GetItem": self.get_item,
            "UpdateItem": self.update_item,
            "DeleteItem": self.delete_item,
            "Scan": self.scan,
        }

    def put_item(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        with self._file.change() as connection:
            before = _checked(connection, asked["Item"]["id"], asked)
            _write(connection, asked["Item"])
        return {"Attributes": before} if before and asked.get("ReturnValues") == "ALL_OLD" else {}

    def get_item(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        with self._file.change() as connection:
            found = _read(connection, asked["Key"]["id"])
        return {"Item": found} if found else {}

    def update_item(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Change or make a row; of UpdateExpression's forms, this knows the one that sets attributes to values."""
        expression = asked["UpdateExpression"]
        if not _SET.fullmatch(expression):
            raise NotImplementedError(expression)
        names, values = asked.get("ExpressionAttributeNames", {}), asked["ExpressionAttributeValues"]
        pairs = (pair.split(" = ") for pair in expression.removeprefix("SET ").split(", "))
        with self._file.change() as connection:
            before = _checked(connection, asked["Key"]["id"], asked)
            _write(
                connection, {**(before or asked["Key"]), **{names.get(name, name): values[to] for name, to in pairs}}
            )
        return {}

    def delete_item(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        with self._file.change() as connection:
            _checked(connection, asked["Key"]["id"], asked)
            connection.execute("DELETE FROM rows WHERE id = ?", [asked["Key"]["id"]["S"]])
        return {}

    def scan(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        with self._file.change() as connection:
            rows = [json.loads(item) for (item,) in connection.execute("SELECT item FROM rows").fetchall()]
        kept = [row for row in rows if _holds(row, asked.get("FilterExpression"), asked)]
        return {"Items": kept, "Count": len(kept), "ScannedCount": len(rows)}


def _checked(connection: Connection, key: Row, asked: Mapping[str, Any]) -> Row | None:
    """Return the row as it is, if it allows the call."""
    before = _read(connection, key)
    if not _holds(before or {}, asked.get("ConditionExpression"), asked):
        shown = asked.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and before
        raise RefusedCallError("ConditionalCheckFailedException", **({"Item": before} if shown else {}))
    return before


def _holds(row: Row, expression: str | None, asked: Mapping[str, Any]) -> bool:
    if expression is None:
        return True
    item = Item(DynamoType(row.get("id", {"S": ""})), None, row)
    names, values = asked.get("ExpressionAttributeNames"), asked.get("ExpressionAttributeValues")
    return bool(get_filter_expression(expression, names, values).expr(item))


def _read(connection: Connection, key: Row) -> Row | None:
    found = connection.execute("SELECT item FROM rows WHERE id = ?", [key["S"]]).fetchone()
    return dict(json.loads(found["item"])) if found else None


def _write(connection: Connection, item: Row) -> None:
    expiration = int(item["expiration"]["N"]) if "expiration" in item else None
    connection.execute(
        "INSERT OR REPLACE INTO rows (id, item, expiration) VALUES (?, ?, ?)",
        [item["id"]["S"], json.dumps(item), expiration],
    )
