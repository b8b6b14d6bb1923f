"""A queue of jobs and a dead-letter queue in a SQLite file, with the calls of boto3's SQS client that the bot makes."""

from __future__ import annotations

import hashlib
import time
import uuid
from threading import Condition
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from sqlite3 import Row

    from local.socket_mode.answered_calls import Operations
    from local.socket_mode.file import SqliteFile

MAX_RECEIVE_COUNT = 10  # as in template.yaml
# Seconds until a job is delivered again whose worker has died: later than its time-out, 30 s, after which its claims in
# the ledger end.
VISIBILITY_SECONDS = 31.0
POLL_INTERVAL = 0.2  # seconds between looks for jobs whose time has come


class SqliteQueue:
    """The queue in a file; `clock` is in seconds, and goes on after a restart. `buried` hears of new dead letters."""

    def __init__(
        self,
        file: SqliteFile,
        clock: Callable[[], float] = time.time,
        buried: Callable[[int], object] = lambda number: None,  # noqa: ARG005
    ) -> None:
        self._file = file
        self._clock = clock
        self._buried = buried
        self._sent = Condition()

    @property
    def operations(self) -> Operations:
        return {
            "SendMessage": self.send_message,
            "ReceiveMessage": self.receive_message,
            "DeleteMessage": self.delete_message,
            "ChangeMessageVisibility": self.change_message_visibility,
        }

    def send_message(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Put a job on the queue; it is on the disk when this returns."""
        now = self._clock()
        message = str(uuid.uuid4())
        with self._file.change() as connection:
            job = (message, asked["MessageBody"], now, now + asked.get("DelaySeconds", 0))
            connection.execute("INSERT INTO jobs (id, body, sent, visible) VALUES (?, ?, ?, ?)", job)
        with self._sent:
            self._sent.notify_all()
        return {"MessageId": message}

    def receive_message(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the jobs that are due, oldest first; wait for one if there is none."""
        ends = time.monotonic() + asked.get("WaitTimeSeconds", 0)
        with self._sent:
            while not (messages := self._receive(asked.get("MaxNumberOfMessages", 1))):
                left = ends - time.monotonic()
                if left <= 0:
                    return {}
                self._sent.wait(min(left, POLL_INTERVAL))
        return {"Messages": messages}

    def delete_message(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Remove a job, unless it was received again since."""
        with self._file.change() as connection:
            connection.execute("DELETE FROM jobs WHERE receipt = ?", [asked["ReceiptHandle"]])
        return {}

    def change_message_visibility(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Let a job come back after so many seconds."""
        with self._file.change() as connection:
            visible = self._clock() + asked["VisibilityTimeout"]
            connection.execute("UPDATE jobs SET visible = ? WHERE receipt = ?", [visible, asked["ReceiptHandle"]])
        return {}

    def waiting(self) -> int:
        """Return the number of jobs that have not ended."""
        return self._count(dead=0)

    def dead(self) -> int:
        """Return the number of dead letters."""
        return self._count(dead=1)

    def redrive(self) -> None:
        """Give every dead letter ten tries more."""
        with self._file.change() as connection:
            connection.execute("UPDATE jobs SET dead = 0, received = 0, visible = ? WHERE dead", [self._clock()])

    def _count(self, dead: int) -> int:
        with self._file.change() as connection:
            return int(connection.execute("SELECT count(*) FROM jobs WHERE dead = ?", [dead]).fetchone()[0])

    def _receive(self, most: int) -> list[dict[str, Any]]:
        now = self._clock()
        with self._file.change() as connection:
            dead = connection.execute(
                "UPDATE jobs SET dead = 1, receipt = NULL WHERE NOT dead AND visible <= ? AND received >= ?",
                [now, MAX_RECEIVE_COUNT],
            ).rowcount
            found = connection.execute(
                "SELECT * FROM jobs WHERE NOT dead AND visible <= ? ORDER BY visible LIMIT ?", [now, most]
            )
            messages = [_message(job) for job in found.fetchall()]
            for message in messages:
                connection.execute(
                    "UPDATE jobs SET received = received + 1, receipt = ?, visible = ? WHERE id = ?",
                    [message["ReceiptHandle"], now + VISIBILITY_SECONDS, message["MessageId"]],
                )
        if dead:
            self._buried(dead)
        return messages


def _message(job: Row) -> dict[str, Any]:
    """Return a job that is received now as SQS would."""
    count = {"ApproximateReceiveCount": str(job["received"] + 1), "SentTimestamp": str(round(1000 * job["sent"]))}
    digest = hashlib.md5(job["body"].encode(), usedforsecurity=False).hexdigest()
    names = {"MessageId": job["id"], "ReceiptHandle": str(uuid.uuid4()), "MD5OfBody": digest}
    return names | {"Body": job["body"], "Attributes": count}
