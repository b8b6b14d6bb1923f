"""The ledger's claims and the turns of jobs in a SQLite file, by the same rules as in DynamoDB."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import STATUS_CONSTANTS, DataRecord

from toxicity_bot.ledger import Claims
from toxicity_bot.turns import KEPT_SECONDS, Turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from sqlite3 import Connection, Row

    from local.sqlite_file import SqliteFile

_WRITE = "INSERT OR REPLACE INTO rows (id, status, data, expiration, in_progress_expiration) VALUES (?, ?, ?, ?, ?)"


class SqliteClaims(Claims):
    """Rows of a ledger in a file; those that have expired are removed when it is opened."""

    def __init__(self, file: SqliteFile) -> None:
        super().__init__()
        self._file = file
        with file.change() as connection:
            connection.execute("DELETE FROM rows WHERE expiration < ?", [int(time.time())])

    def _get_record(self, idempotency_key: str) -> DataRecord:
        with self._file.change() as connection:
            row = _row(connection, idempotency_key)
        if row is None:
            raise IdempotencyItemNotFoundError
        return _record(row)

    def _put_record(self, data_record: DataRecord) -> None:
        """Claim a row unless its work is done, or claimed by an invocation that still runs."""
        now = dt.datetime.now(tz=dt.UTC).timestamp()
        with self._file.change() as connection:
            before = _row(connection, data_record.idempotency_key)
            if before and before["expiration"] >= int(now):
                ends = before["in_progress_expiration"]
                in_progress = before["status"] == STATUS_CONSTANTS["INPROGRESS"]
                if not in_progress or ends is None or ends >= int(now * 1000):
                    raise IdempotencyItemAlreadyExistsError(old_data_record=_record(before))
            claim = (data_record.expiry_timestamp, data_record.in_progress_expiry_timestamp)
            connection.execute(_WRITE, [data_record.idempotency_key, data_record.status, None, *claim])
        self.claimed(before["status"] if before else None)

    def _update_record(self, data_record: DataRecord) -> None:
        done = (data_record.status, data_record.response_data, data_record.expiry_timestamp)
        with self._file.change() as connection:
            connection.execute(_WRITE, [data_record.idempotency_key, *done, None])

    def _delete_record(self, data_record: DataRecord) -> None:
        with self._file.change() as connection:
            connection.execute("DELETE FROM rows WHERE id = ?", [data_record.idempotency_key])

    def end_claim(self, key: str) -> None:
        with self._file.change() as connection:
            connection.execute("UPDATE rows SET in_progress_expiration = 0 WHERE id = ?", [key])

    def write_note(self, key: str, facts: str, expires: int) -> None:
        with self._file.change() as connection:
            connection.execute(_WRITE, [key, "NOTE", facts, expires, None])

    def read_note(self, key: str) -> str | None:
        with self._file.change() as connection:
            row = _row(connection, key)
        return str(row["data"]) if row else None


class SqliteTurns(Turns):
    """The lines of jobs that Slack limits, in a file."""

    def __init__(self, file: SqliteFile, clock: Callable[[], float] = time.time) -> None:
        super().__init__("", None, clock)
        self._file = file

    def _read(self, line: str) -> str | None:
        with self._file.change() as connection:
            row = _row(connection, f"turns#{line}")
        return str(row["data"]) if row else None

    def _replace(self, line: str, before: str | None, after: str) -> bool:
        with self._file.change() as connection:
            row = _row(connection, f"turns#{line}")
            if (row and row["data"]) != before:
                return False
            connection.execute(_WRITE, [f"turns#{line}", "TURNS", after, int(self._clock() + KEPT_SECONDS), None])
        return True


def _row(connection: Connection, key: str) -> Row | None:
    row: Row | None = connection.execute("SELECT * FROM rows WHERE id = ?", [key]).fetchone()
    return row


def _record(row: Row) -> DataRecord:
    names = ("status", "expiration", "in_progress_expiration", "data")
    return DataRecord(row["id"], *(row[name] for name in names))
