"""Read rows of CSV, TSV, JSON lines or plain lines one at a time, tolerating bad rows, and write such rows."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import lzma
import sys
import zlib
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from toxicity_bot.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Format = Literal["csv", "tsv", "jsonl", "lines"]

MAX_LINE_BYTES = 1_000_000  # also the limit of a field that spans several lines
STACK_MARGIN = 50  # levels of nesting
STDIO = "-"  # standard input or output
EXTENSIONS: Mapping[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "lines",
}  # fmt: skip
COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": lzma.compress}
_DECOMPRESS: Mapping[str, Any] = {".gz": gzip.open, ".xz": lzma.open}
_DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass
class Row:
    """A row with its fields. `error` says why its text cannot be scored."""

    line: int
    fields: dict[str, Any]
    text: str = ""
    error: str = ""


def format_of(path: str) -> Format | None:
    """Return the format for a file name's extension, ignoring the extension of a compression."""
    name = Path(path)
    return EXTENSIONS.get((name.with_suffix("") if name.suffix in COMPRESS else name).suffix)


class Lines:
    """The decoded lines of a file, with a digest of the lines read so far and the problems found in them.

    A line that is not text is repaired, and one that is too long is cut, so that the following lines can be read.
    """

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == STDIO else path
        self.number = 0
        self.names: list[str] = []
        self._digest = hashlib.blake2b(digest_size=16)
        self._problem = ""
        try:
            self._raw = sys.stdin.buffer if path == STDIO else Path(path).open("rb")  # noqa: SIM115
            self.size = 0 if path == STDIO else Path(path).stat().st_size
        except OSError as error:
            raise FileError(path, f"cannot be read: {error.strerror}") from error
        decompress = _DECOMPRESS.get(Path(path).suffix)
        self._file = cast("BinaryIO", decompress(self._raw) if decompress else self._raw)

    @property
    def position(self) -> int:
        """Bytes read from the file, of `size`."""
        return self._raw.tell()

    def digest(self) -> str:
        """Return a digest of all lines read so far."""
        return self._digest.hexdigest()

    def problem(self) -> str:
        """Return the problem found in the lines since the last call, or an empty string."""
        problem, self._problem = self._problem, ""
        return problem

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._read()
        if not line:
            raise StopIteration
        self.number += 1
        piece = line
        while len(piece) == MAX_LINE_BYTES and not piece.endswith(b"\n"):
            self._problem = f"it has more than {MAX_LINE_BYTES:,} bytes"
            piece = self._read()
        if self.number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if b"\0" in line:
            self._problem, line = "it has a NUL byte", line.replace(b"\0", b"")
        try:
            return line.decode()
        except UnicodeDecodeError:
            self._problem = self._problem or "it is not UTF-8"
            return line.decode(errors="replace")

    def _read(self) -> bytes:
        try:
            line = self._file.readline(MAX_LINE_BYTES)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise FileError(self.name, f"cannot be read after line {self.number:,}: {error}") from error
        self._digest.update(line)
        return line


def read(lines: Lines, kind: Format, column: str) -> Iterator[Row]:
    """Yield the rows. Raises FileError if there are none or the column is missing."""
    if kind == "jsonl":
        rows = _read_json(lines, column)
    elif kind == "lines":
        rows = (_checked(lines, {column: line.rstrip("\r\n")}, column) for line in lines)
    else:
        rows = _read_csv(lines, column, _DELIMITERS[kind])
    yield from rows
    if not lines.number:
        raise FileError(lines.name, "is empty")


def _read_csv(lines: Lines, column: str, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(MAX_LINE_BYTES)
    header = next(_records(lines, delimiter), None)
    if header is None:
        return
    if isinstance(header, str) or (problem := lines.problem()):
        raise FileError(lines.name, f"has no header: in line 1, {header if isinstance(header, str) else problem}")
    if column not in header:
        raise FileError(lines.name, f"has no column {column!r}, only {', '.join(header)}: name one with --text-column")
    if len(set(header)) < len(header):
        raise FileError(lines.name, "has two columns of the same name")
    lines.names = header
    for record in _records(lines, delimiter):
        if isinstance(record, str):
            lines.problem()
            yield Row(lines.number, {}, error=record)
        elif record:  # not an empty line
            row = _checked(lines, dict(zip(header, record, strict=False)), column)
            if not row.error and len(record) != len(header):
                row.error = f"it has {len(record)} fields where the header has {len(header)}"
            yield row


def _records(lines: Lines, delimiter: str) -> Iterator[list[str] | str]:
    """Yield records, or the error message for a bad one. Reading continues on the next line."""
    while True:
        try:
            yield from csv.reader(lines, delimiter=delimiter)
            return
        except csv.Error as error:
            yield str(error)


def _read_json(lines: Lines, column: str) -> Iterator[Row]:
    for line in lines:
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            # It must be possible to write it, even where the stack is deeper than here.
            json.dumps(reduce(lambda inner, _: [inner], range(STACK_MARGIN), fields), allow_nan=False)
        except (ValueError, RecursionError):
            fields = None
        if isinstance(fields, dict):
            yield _checked(lines, fields, column)
        else:
            yield Row(lines.number, {}, error=lines.problem() or "it is not a JSON object")


def _checked(lines: Lines, fields: dict[str, Any], column: str) -> Row:
    text, error = fields.get(column), lines.problem()
    if not error and not isinstance(text, str):
        error = f"{column!r} is not a string" if column in fields else f"it has no {column!r}"
    return Row(lines.number, fields, "" if error else str(text), error)


class Formatter:
    """Formats rows. The first row determines the columns."""

    def __init__(self, kind: Format) -> None:
        self._delimiter = _DELIMITERS.get(kind)
        self._names: Sequence[str] = ()
        self._written: list[str] = []
        self._csv = csv.writer(self, delimiter=self._delimiter or ",", lineterminator="\n")

    def write(self, text: str) -> None:
        """Receive the output of `csv.writer`."""
        self._written.append(text)

    def begin(self, names: Iterable[str]) -> bytes:
        """Set the columns. Return the header, if the format has one."""
        self._names = tuple(names)
        if self._delimiter is None:
            return b""
        self._csv.writerow(self._names)
        return self._encoded()

    def misfit(self, fields: Mapping[str, Any]) -> str:
        """Return why a row does not fit the columns, or an empty string."""
        extra = set() if self._delimiter is None else fields.keys() - set(self._names)
        return f"it has {min(extra)!r}, which the first row does not have" if extra else ""

    def row(self, fields: Mapping[str, Any]) -> bytes:
        """Return a formatted row. CSV and TSV omit fields that are not columns."""
        if self._delimiter is None:
            # Escape unpaired surrogates, which cannot be encoded.
            self._written.append(_json(fields, ascii_only=False) + "\n")
            try:
                return self._encoded()
            except UnicodeEncodeError:
                return (_json(fields, ascii_only=True) + "\n").encode()
        self._csv.writerow([_cell(fields.get(name)) for name in self._names])
        return self._encoded("replace")

    def _encoded(self, errors: str = "strict") -> bytes:
        text = "".join(self._written)
        self._written.clear()
        return text.encode(errors=errors)


def _json(value: Any, *, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value, ascii_only=False)
