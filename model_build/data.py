"""Read labelled messages from JSON lines or CSV, plain or compressed with xz.

A row has `text` and `label` (1 is toxic), and may have `source` and `split`. Errors name the line of a bad row and
never quote a message.
"""

from __future__ import annotations

import csv
import json
import lzma
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from model_build.errors import ModelBuildError
from model_build.source import sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_SOURCE = "all"
SPLITS = ("train", "dev", "test")
ENCODING = "utf-8-sig"  # spreadsheets begin a file with a byte order mark
LONGEST_QUOTED = 12  # characters: a longer label is a message in the wrong column
# A CSV field may be a whole document: the module's own limit is 128 kB.
LONGEST_FIELD = 10_000_000


@dataclass(frozen=True)
class Row:
    """One labelled message, as it was written; `split` is empty where the file does not say."""

    text: str = field(repr=False)
    label: int
    source: str = NO_SOURCE
    split: str = ""


@dataclass(frozen=True)
class Labelled:
    """The good rows of a file, and what is wrong with the others, by line."""

    rows: list[Row]
    bad: dict[int, str]

    def of_split(self, split: str) -> list[Row]:
        """Return the rows of a split; a row that names none belongs to training."""
        return [row for row in self.rows if (row.split or "train") == split]


def read(path: Path, *, skip_bad_rows: bool = False) -> Labelled:
    """Return the rows of `path`; raises ModelBuildError for a bad one unless told to skip it, and if none is good."""
    found = Labelled([], {})
    with opened(path) as file:
        for line, fields in _records(path, file):
            reason = fields if isinstance(fields, str) else _fault(fields)
            if not isinstance(fields, str) and not reason:
                found.rows.append(_row(fields))
            elif skip_bad_rows:
                found.bad[line] = reason
            else:
                raise ModelBuildError(f"{path.name}, line {line}: {reason}; mend it, or pass --skip-bad-rows")
    if not found.rows:
        raise ModelBuildError(f"{path} has no row with a text and a label, 0 or 1")
    return found


def opened(path: Path) -> TextIO:
    """Return a UTF-8 file, plain or .xz, to read; raises ModelBuildError if there is none."""
    try:
        if path.suffix == ".xz":
            return lzma.open(path, "rt", encoding=ENCODING, newline="")
        return path.open(encoding=ENCODING, newline="")
    except OSError as error:
        raise ModelBuildError(f"{path} cannot be read: {error.strerror}") from error


def checksum(path: Path) -> str:
    """Return the file's checksum, for a record; raises ModelBuildError if there is none."""
    opened(path).close()
    return sha256(path)


def _records(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield the number of each line and its fields, or what is wrong with it."""
    try:
        if ".csv" in path.suffixes:
            yield from _csv_records(path, file)
            return
        for line, written in enumerate(file, start=1):
            if written.strip():
                yield line, _parsed(written)
    except UnicodeDecodeError as error:
        raise ModelBuildError(f"{path} is not UTF-8 (byte {error.start}): convert it first") from error
    except (lzma.LZMAError, EOFError) as error:
        raise ModelBuildError(f"{path} is damaged or no xz file: {error}") from error


def _csv_records(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """A record with line breaks in quotes is named by the line on which it begins."""
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.DictReader(file)
    try:
        if not {"text", "label"} <= set(reader.fieldnames or ()):
            raise ModelBuildError(f"{path}: the first line must name the columns, text and label among them")
        before = reader.line_num
        for record in reader:
            yield before + 1, record
            before = reader.line_num
    except csv.Error as error:
        raise ModelBuildError(f"{path}, line {reader.line_num}: no CSV ({error})") from error


def _parsed(line: str) -> dict[str, Any] | str:
    try:
        fields = json.loads(line)
    except ValueError as error:
        return f"not JSON ({error})"
    return fields if isinstance(fields, dict) else "not a JSON object"


def _fault(fields: dict[str, Any]) -> str:
    """Return what is wrong with a row, nothing if it is good."""
    text, label, split = fields.get("text"), fields.get("label"), fields.get("split") or ""
    if not isinstance(text, str) or not text.strip():
        return "text is missing or empty"
    if isinstance(label, bool) or str(label) not in ("0", "1"):
        return f"label is {_shown(label)}, not 0 or 1"
    if split and split not in SPLITS:
        return f"split is {_shown(split)}, not one of {', '.join(SPLITS)}"
    return ""


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= LONGEST_QUOTED else f"{len(shown)} characters long"


def _row(fields: dict[str, Any]) -> Row:
    return Row(
        str(fields["text"]),
        int(fields["label"]),
        str(fields.get("source") or NO_SOURCE),
        str(fields.get("split") or ""),
    )
