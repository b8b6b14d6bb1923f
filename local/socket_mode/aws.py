"""A job queue with dead letters and a ledger table in a SQLite file, behind boto3's SQS and DynamoDB clients.

Only the calls that the bot makes are supported. Nothing is sent: event handlers answer the calls, as in botocore's
Stubber. moto evaluates the condition expressions of DynamoDB.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from threading import Condition
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from toxicity_bot.jobs import MAX_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from sqlite3 import Connection
    from sqlite3 import Row as SqliteRow

    from local.socket_mode.file import SqliteFile

Row = dict[str, Any]
# After this, a dead worker's job is delivered again. Longer than the worker's timeout of 30 s, when its claims in the
# ledger expire.
VISIBILITY_SECONDS = 31.0
POLL_INTERVAL = 0.2  # seconds between checks for due jobs
_SET = re.compile(r"SET ([#\w]+ = :\w+(, [#\w]+ = :\w+)*)")


class RefusedCallError(Exception):
    """Raised if a call is refused. The client raises its own error with this code."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


def answer_locally(client: Any, service: SqliteQueue | SqliteTable) -> None:
    """Let the methods of a service with the same names answer the calls of a client. Others raise KeyError."""

    def note(params: Mapping[str, Any], context: dict[str, Any], **_: object) -> None:
        context["params"] = params

    def answer(model: Any, context: Mapping[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]]:
        operation = getattr(service, xform_name(model.name), None)
        if operation is None:
            raise KeyError(model.name)
        try:
            status, answered = 200, operation(context["params"])
        except RefusedCallError as error:
            status, answered = 400, {"Error": {"Code": error.code, "Message": error.code}, **error.details}
        metadata = {"ResponseMetadata": {"HTTPStatusCode": status}}
        return AWSResponse("", status, HTTPHeaders(), None), {**answered, **metadata}

    client.meta.events.register("before-parameter-build", note)
    client.meta.events.register("before-call", answer)


class SqliteQueue:
    """The queue in a file. `clock` returns seconds and must not restart with the process.

    `on_dead_letters` is called with the number of new dead letters.
    """

    def __init__(
        self,
        file: SqliteFile,
        clock: Callable[[], float] = time.time,
        on_dead_letters: Callable[[int], object] = lambda number: None,  # noqa: ARG005
    ) -> None:
        self._file = file
        self._clock = clock
        self._on_dead_letters = on_dead_letters
        self._sent = Condition()

    def send_message(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Put a job on the queue. It is on the disk when this returns."""
        now = self._clock()
        message = str(uuid.uuid4())
        with self._file.change() as connection:
            job = (message, params["MessageBody"], now, now + params.get("DelaySeconds", 0))
            connection.execute("INSERT INTO jobs (id, body, sent, visible) VALUES (?, ?, ?, ?)", job)
        with self._sent:
            self._sent.notify_all()
        return {"MessageId": message}

    def receive_message(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the due jobs, oldest first. Wait for one if there is none."""
        ends = time.monotonic() + params.get("WaitTimeSeconds", 0)
        with self._sent:
            while not (messages := self._receive(params.get("MaxNumberOfMessages", 1))):
                left = ends - time.monotonic()
                if left <= 0:
                    return {}
                self._sent.wait(min(left, POLL_INTERVAL))
        return {"Messages": messages}

    def delete_message(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Remove a job, unless it was received again in the meantime."""
        with self._file.change() as connection:
            connection.execute("DELETE FROM jobs WHERE receipt = ?", [params["ReceiptHandle"]])
        return {}

    def change_message_visibility(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Deliver a job again after this many seconds."""
        with self._file.change() as connection:
            visible = self._clock() + params["VisibilityTimeout"]
            connection.execute("UPDATE jobs SET visible = ? WHERE receipt = ?", [visible, params["ReceiptHandle"]])
        return {}

    def waiting(self) -> int:
        """Return the number of jobs that have not ended."""
        return self._count(dead=0)

    def dead(self) -> int:
        """Return the number of dead letters."""
        return self._count(dead=1)

    def redrive(self) -> None:
        """Give every dead letter ten more attempts."""
        with self._file.change() as connection:
            connection.execute("UPDATE jobs SET dead = 0, received = 0, visible = ? WHERE dead", [self._clock()])

    def _count(self, dead: int) -> int:
        with self._file.change() as connection:
            return int(connection.execute("SELECT count(*) FROM jobs WHERE dead = ?", [dead]).fetchone()[0])

    def _receive(self, limit: int) -> list[dict[str, Any]]:
        now = self._clock()
        with self._file.change() as connection:
            dead = connection.execute(
                "UPDATE jobs SET dead = 1, receipt = NULL WHERE NOT dead AND visible <= ? AND received >= ?",
                [now, MAX_ATTEMPTS],
            ).rowcount
            found = connection.execute(
                "SELECT * FROM jobs WHERE NOT dead AND visible <= ? ORDER BY visible LIMIT ?", [now, limit]
            )
            messages = [_message(job) for job in found.fetchall()]
            for message in messages:
                connection.execute(
                    "UPDATE jobs SET received = received + 1, receipt = ?, visible = ? WHERE id = ?",
                    [message["ReceiptHandle"], now + VISIBILITY_SECONDS, message["MessageId"]],
                )
        if dead:
            self._on_dead_letters(dead)
        return messages


def _message(job: SqliteRow) -> dict[str, Any]:
    """Return a received job in the format of SQS."""
    count = {"ApproximateReceiveCount": str(job["received"] + 1), "SentTimestamp": str(round(1000 * job["sent"]))}
    digest = hashlib.md5(job["body"].encode(), usedforsecurity=False).hexdigest()
    names = {"MessageId": job["id"], "ReceiptHandle": str(uuid.uuid4()), "MD5OfBody": digest}
    return names | {"Body": job["body"], "Attributes": count}


class SqliteTable:
    """The ledger table in a file, with the key `id`. Expired rows are removed when it is opened."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        with file.change() as connection:
            connection.execute("DELETE FROM rows WHERE expiration < ?", [int(time.time())])

    def put_item(self, params: Mapping[str, Any]) -> dict[str, Any]:
        with self._file.change() as connection:
            before = _checked(connection, params["Item"]["id"], params)
            _write(connection, params["Item"])
        return {"Attributes": before} if before and params.get("ReturnValues") == "ALL_OLD" else {}

    def get_item(self, params: Mapping[str, Any]) -> dict[str, Any]:
        with self._file.change() as connection:
            found = _read(connection, params["Key"]["id"])
        return {"Item": found} if found else {}

    def update_item(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Change or create a row. The only supported UpdateExpression sets attributes to values."""
        expression = params["UpdateExpression"]
        if not _SET.fullmatch(expression):
            raise NotImplementedError(expression)
        names, values = params.get("ExpressionAttributeNames", {}), params["ExpressionAttributeValues"]
        pairs = (pair.split(" = ") for pair in expression.removeprefix("SET ").split(", "))
        with self._file.change() as connection:
            before = _checked(connection, params["Key"]["id"], params)
            _write(
                connection, {**(before or params["Key"]), **{names.get(name, name): values[to] for name, to in pairs}}
            )
        return {}

    def delete_item(self, params: Mapping[str, Any]) -> dict[str, Any]:
        with self._file.change() as connection:
            _checked(connection, params["Key"]["id"], params)
            connection.execute("DELETE FROM rows WHERE id = ?", [params["Key"]["id"]["S"]])
        return {}

    def scan(self, params: Mapping[str, Any]) -> dict[str, Any]:
        with self._file.change() as connection:
            rows = [json.loads(item) for (item,) in connection.execute("SELECT item FROM rows").fetchall()]
        kept = [row for row in rows if _holds(row, params.get("FilterExpression"), params)]
        return {"Items": kept, "Count": len(kept), "ScannedCount": len(rows)}


def _checked(connection: Connection, key: Row, params: Mapping[str, Any]) -> Row | None:
    """Return the current row. Raises RefusedCallError if the condition does not hold."""
    before = _read(connection, key)
    if not _holds(before or {}, params.get("ConditionExpression"), params):
        shown = params.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and before
        raise RefusedCallError("ConditionalCheckFailedException", **({"Item": before} if shown else {}))
    return before


def _holds(row: Row, expression: str | None, params: Mapping[str, Any]) -> bool:
    if expression is None:
        return True
    item = Item(DynamoType(row.get("id", {"S": ""})), None, row)
    names, values = params.get("ExpressionAttributeNames"), params.get("ExpressionAttributeValues")
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
