"""Read labelled messages from JSON lines or CSV, plain or compressed with xz.

A row has `text` and `label` (1 is toxic), and may have `source`, `split` and `detail`. Messages under another licence
than their labels stay in a file of their own: a row has `text_sha256` in place of such a text. Errors name the line of
a bad row and never quote a message.
"""

from __future__ import annotations

import csv
import hashlib
import json
import lzma
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from model_build.errors import ModelBuildError
from model_build.source import sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NO_SOURCE = "all"
SPLITS = ("train", "dev", "test")
ENCODING = "utf-8-sig"  # spreadsheets begin a file with a byte order mark
LONGEST_QUOTED = 12  # characters: a longer label is a message in the wrong column
# A CSV field may be a whole document: the module's own limit is 128 kB.
LONGEST_FIELD = 10_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Row:
    """One labelled message, as it was written; `split` and `detail` are empty where the file does not say."""

    text: str = field(repr=False)
    label: int
    source: str = NO_SOURCE
    split: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True)
class Labelled:
    """The good rows of some files, and for each of the others its file, its line and what is wrong with it."""

    rows: list[Row]
    bad: list[str]

    def of_split(self, split: str) -> list[Row]:
        """Return the rows of a split; a row that names none belongs to training."""
        return [row for row in self.rows if (row.split or "train") == split]


def read(*paths: Path, skip_bad_rows: bool = False, chat: Path | None = None) -> Labelled:
    """Return the rows of `paths`; `chat` has the texts of those with a checksum, a message per line.

    Raises ModelBuildError for a bad row unless told to skip it, for a file without a good one, and for a text that is
    not in `chat`.
    """
    rows: list[Row] = []
    bad: list[str] = []
    for path in paths:
        good: list[dict[str, Any]] = []
        with opened(path) as file:
            for line, fields in _records(path, file):
                reason = fields if isinstance(fields, str) else _fault(fields)
                if not isinstance(fields, str) and not reason:
                    good.append(fields)
                    continue
                bad.append(f"{path.name}, line {line}: {reason}")
                if not skip_bad_rows:
                    raise ModelBuildError(f"{bad[0]}; correct it, or pass --skip-bad-rows")
        if not good:
            raise ModelBuildError(f"{path} has no row with a text and a label, 0 or 1")
        texts = _texts(path, {fields["text_sha256"] for fields in good if fields.get("text") is None}, chat)
        rows += [_row(fields, texts) for fields in good]
    return Labelled(rows, bad)


def lines(path: Path) -> Iterator[str]:
    """Yield each line that is not blank, stripped."""
    with opened(path) as file:
        yield from filter(None, (line.strip() for line in file))


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 file, plain or .xz; raises ModelBuildError if it cannot be decoded or decompressed."""
    try:
        with (lzma.open if path.suffix == ".xz" else open)(path, "rt", encoding=ENCODING, newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise ModelBuildError(f"{path} is not UTF-8 (byte {error.start}): convert it first") from error
    except (lzma.LZMAError, EOFError) as error:
        raise ModelBuildError(f"{path} is damaged or no xz file: {error}") from error


def checksum(*paths: Path) -> str:
    """Return one checksum of a file or of several, for a record."""
    each = [sha256(path) for path in paths]
    return each[0] if len(each) == 1 else hashlib.sha256("\n".join(each).encode()).hexdigest()


def text_checksum(text: str) -> str:
    """Return what stands as `text_sha256` in place of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _texts(path: Path, checksums: set[str], chat: Path | None) -> dict[str, str]:
    """Return the messages of `chat` that have one of these checksums, by checksum."""
    if not checksums:
        return {}
    if chat is None:
        raise ModelBuildError(
            f"{path} has text_sha256 in place of {len(checksums)} texts: pass the file with these messages as --chat"
        )
    each = ((text_checksum(message), message) for message in lines(chat))
    found = {key: message for key, message in each if key in checksums}
    if missing := len(checksums - found.keys()):
        raise ModelBuildError(
            f"{path} has text_sha256 of {len(checksums)} texts, {missing} of which are not in {chat}: pass the file "
            "that has them as --chat"
        )
    return found


def _records(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield the number of each line and its fields, or what is wrong with it."""
    if ".csv" in path.suffixes:
        yield from _csv_records(path, file)
        return
    for line, written in enumerate(file, start=1):
        if not written.strip():
            continue
        try:
            fields = json.loads(written)
        except ValueError as error:
            yield line, f"not JSON ({error})"
        else:
            yield line, fields if isinstance(fields, dict) else "not a JSON object"


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


def _fault(fields: dict[str, Any]) -> str:
    """Return what is wrong with a row, nothing if it is good."""
    text, label, split = fields.get("text"), fields.get("label"), fields.get("split") or ""
    if text is None and (checksum := fields.get("text_sha256")) is not None:
        if not (isinstance(checksum, str) and _SHA256.fullmatch(checksum)):
            return "text_sha256 is not 64 hexadecimal digits in lower case"
    elif not isinstance(text, str) or not text.strip():
        return "text is missing or empty"
    if isinstance(label, bool) or str(label) not in ("0", "1"):
        return f"label is {_shown(label)}, not 0 or 1"
    if split and split not in SPLITS:
        return f"split is {_shown(split)}, not one of {', '.join(SPLITS)}"
    return ""


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= LONGEST_QUOTED else f"{len(shown)} characters long"


def _row(fields: dict[str, Any], texts: Mapping[str, str]) -> Row:
    text, detail = fields.get("text"), fields.get("detail")
    return Row(
        texts[fields["text_sha256"]] if text is None else str(text),
        int(fields["label"]),
        str(fields.get("source") or NO_SOURCE),
        str(fields.get("split") or ""),
        detail if isinstance(detail, dict) else {},
    )
