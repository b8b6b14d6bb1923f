"""Write rows so that a run that stops at any moment loses only uncommitted rows.

A small progress file beside an unfinished output records how many rows and bytes are complete, of which input, with
which options. Before a run resumes, anything beyond that is cut off.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toxicity_bot.errors import FileError

from .rows import COMPRESS, STDIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO

COMMIT_SECONDS = 0.5
COMMIT_BYTES = 4_000_000


@dataclass
class Progress:
    """How much of the output is complete."""

    rows: int = 0
    bytes: int = 0
    input: str = ""
    """Digest of the input up to these rows."""


class Output:
    """A file, which a later run can resume, or a stream such as standard output, which cannot be resumed."""

    def __init__(self, path: str, options: Sequence[Any], *, overwrite: bool) -> None:
        """Raises FileError if the file exists, unless it is unfinished and was written with the same options."""
        self.name = "standard output" if path == STDIO else path
        self.progress = Progress()
        self._options = list(options)
        self._compress = COMPRESS.get(Path(path).suffix, bytes)
        self._pending: list[tuple[bytes, int, str]] = []
        self._committed = time.monotonic()
        self._file: FileIO
        self._bytes = 0
        self._record: Path | None = None
        try:
            if path == STDIO or (Path(path).exists() and not Path(path).is_file()):
                self._file = open(1 if path == STDIO else path, "wb", 0)  # noqa: SIM115, PTH123
                return
            self._record = Path(f"{path}.progress")
            self._open(Path(path), self._record, overwrite=overwrite)
        except OSError as error:
            raise FileError(self.name, f"cannot be written: {error.strerror}") from error

    def _open(self, path: Path, record: Path, *, overwrite: bool) -> None:
        saved = {} if overwrite or not record.exists() else _read(record)
        if path.exists() and not saved and not overwrite:
            raise FileError(self.name, "exists already: choose another --out, or --overwrite it")
        path.touch()
        self._file = path.open("r+b", 0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FileError(self.name, "is being written by another run") from error
        if saved:
            self.progress = Progress(**saved["progress"])
            if saved["options"] != self._options or path.stat().st_size < self.progress.bytes:
                raise FileError(self.name, "was started with other options or another model: --overwrite starts over")
        self.write(b"", 0, self.progress.input)
        self.commit()

    @property
    def resumes(self) -> bool:
        """Whether a later run can resume."""
        return self._record is not None

    def write(self, data: bytes, rows: int, digest: str) -> None:
        """Buffer data with this number of rows. `digest` is that of the input up to these rows."""
        self._pending.append((data, rows, digest))
        self._bytes += len(data)
        if time.monotonic() - self._committed >= COMMIT_SECONDS or self._bytes >= COMMIT_BYTES:
            self.commit()

    def commit(self) -> None:
        """Commit the buffered rows. If Ctrl-C interrupts this method at any point, it can be called again."""
        if not self._pending:
            return
        text = b"".join(data for data, _, _ in self._pending)
        data = memoryview(self._compress(text) if text else b"")
        rows = self.progress.rows + sum(rows for _, rows, _ in self._pending)
        progress = Progress(rows, self.progress.bytes + len(data), self._pending[-1][2])
        try:
            if self._record:
                self._file.truncate(self.progress.bytes)
                self._file.seek(self.progress.bytes)
            while data:
                data = data[self._file.write(data) :]
            if self._record:
                os.fsync(self._file.fileno())
                new = self._record.with_name(f"{self._record.name}.new")
                new.write_text(json.dumps({"progress": asdict(progress), "options": self._options}), encoding="utf-8")
                new.replace(self._record)
        except OSError as error:
            if self._record:
                self._file.truncate(self.progress.bytes)
            raise FileError(self.name, f"cannot be written: {error.strerror}") from error
        self.progress, self._pending = progress, []
        self._bytes, self._committed = 0, time.monotonic()

    def finish(self) -> None:
        """Remove the progress file: the output is complete."""
        if self._record:
            self._record.unlink()


def _read(record: Path) -> dict[str, Any]:
    try:
        saved: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return {"progress": {**asdict(Progress()), **saved["progress"]}, "options": saved["options"]}
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(str(record), "is not a progress file: --overwrite starts over") from error
