"""A SQLite file for one process at a time. Committed changes survive a crash."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from toxicity_bot.errors import BotError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# SqliteQueue uses the table jobs, and SqliteTable the table rows.
_TABLES = """
    CREATE TABLE IF NOT EXISTS jobs (
      id TEXT PRIMARY KEY, body TEXT NOT NULL, sent REAL NOT NULL, visible REAL NOT NULL,
      received INTEGER NOT NULL DEFAULT 0, receipt TEXT, dead INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX IF NOT EXISTS due ON jobs (dead, visible);
    CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, item TEXT NOT NULL, expiration INTEGER) STRICT;
"""


class SqliteFileError(BotError):
    """Raised if the file cannot be used. The exit status is 2 if another file name would help."""

    def __init__(self, path: Path, reason: str, exit_status: int) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path
        self.exit_status = exit_status


class SqliteFile:
    """The open file. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        # For its owner only: jobs hold URLs at which anybody can answer for half an hour. SQLite reports any error.
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        with self._raises_file_error():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            with self._raises_file_error():
                self._connection.row_factory = sqlite3.Row
                # Keep the lock of the first transaction until the process ends.
                self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.executescript(f"BEGIN EXCLUSIVE; {_TABLES} COMMIT;")
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Provide the connection for one transaction. Commit it to the disk, or roll it back after an error."""
        with self._lock, self._raises_file_error():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file, so that another process can open it."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _raises_file_error(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", "")
            reason, status = next(
                (explained for codes, explained in _REASONS.items() if code.startswith(codes)),
                (f"cannot be read or written ({error}): check the disk.", 1),
            )
            raise SqliteFileError(self.path, reason, status) from error


_REASONS: dict[tuple[str, ...], tuple[str, int]] = {
    ("SQLITE_BUSY", "SQLITE_LOCKED"): (
        "is in use: stop the other bot that uses it, or choose another file with FILE=.",
        1,
    ),
    ("SQLITE_FULL",): ("does not fit on the disk: free some space, then run the same command again.", 1),
    ("SQLITE_NOTADB",): ("is another kind of file: choose a new one with FILE=.", 2),
    ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM"): (
        "cannot be written: choose a file with FILE= in a folder that you can write to.",
        2,
    ),
}
