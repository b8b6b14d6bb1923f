"""Read labelled messages from JSON lines or CSV, plain or compressed with xz.

A row has `text` and `label` (1 is toxic), and optionally `source`, `split` and `detail`. If a message and its
label have different licences, the row has `text_sha256` in place of `text`, and the text is in a separate file. Errors
contain the line number of a bad row and never quote a message.
"""

from __future__ import annotations

import csv
import hashlib
import json
import lzma
import re
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from model_build.errors import ModelBuildError
from model_build.source import sha256
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

NO_SOURCE = "all"
SPLITS = ("train", "dev", "test")
ENCODING = "utf-8-sig"  # spreadsheets write a byte order mark
MAX_QUOTED_CHARACTERS = 12  # a longer label is probably a message in the wrong column
# A CSV field can hold a whole document, but the csv module's default limit is 128 kB.
MAX_FIELD_CHARACTERS = 10_000_000
MAX_BAD_ROWS_PRINTED = 10
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")  # JSON can contain them, UTF-8 cannot


@dataclass(frozen=True)
class Row:
    """One labelled message, not normalized. `split` and `detail` are empty if the row has none."""

    text: str = field(repr=False)
    label: int
    source: str = NO_SOURCE
    split: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True)
class Labelled:
    """The valid rows of some files, and for each bad row its file, line number and problem."""

    files: Sequence[Path]
    rows: list[Row]
    bad: list[str]

    def of_split(self, split: str) -> list[Row]:
        """Return the rows of a split. A row without a split belongs to `train`."""
        return [row for row in self.rows if (row.split or "train") == split]

    def describe_skipped(self) -> list[str]:
        """Return lines to print: the first bad rows and their total. Without bad rows the list is empty."""
        skipped = [f"skipped: {row}" for row in self.bad[:MAX_BAD_ROWS_PRINTED]]
        return [*skipped, f"{len(self.bad):,} bad rows skipped."] if skipped else []


def read(*paths: Path, skip_bad_rows: bool = False, chat: Path | None = None) -> Labelled:
    """Read the rows of `paths`. `chat` holds the texts of rows that have only a checksum, one message per line.

    Raises ModelBuildError for a bad row, unless `skip_bad_rows` is set, for a file without a valid row, and if a text
    is missing from `chat`.
    """
    rows: list[Row] = []
    bad: list[str] = []
    for path in paths:
        good: list[dict[str, Any]] = []
        with open_text(path) as file:
            for line, fields in _records(path, file):
                reason = fields if isinstance(fields, str) else _problem(fields)
                if not isinstance(fields, str) and not reason:
                    good.append(fields)
                    continue
                bad.append(f"{path.name}, line {line}: {reason}")
                if not skip_bad_rows:
                    raise ModelBuildError(f"{bad[0]}; correct it, or pass --skip-bad-rows")
        if not good:
            raise ModelBuildError(f"{path} has no row with a text and a label of 0 or 1")
        texts = _texts(path, {fields["text_sha256"] for fields in good if fields.get("text") is None}, chat)
        rows += [_row(fields, texts) for fields in good]
    return Labelled(paths, rows, bad)


def scored_form(text: str) -> str:
    """Return a text as models score it: folded, or empty if there is nothing to judge in it.

    BERT's tokenizer, which MPNet uses, drops combining marks and the character that decoders put for bad bytes.
    """
    folded = fold(text)
    return folded if any(unicodedata.category(sign)[0] in "LNPS" and sign != "\ufffd" for sign in folded) else ""


def lines(path: Path) -> Iterator[str]:
    """Yield the non-blank lines of a file, stripped."""
    with open_text(path) as file:
        yield from filter(None, (line.strip() for line in file))


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 file, plain or .xz. Raises ModelBuildError if it cannot be decoded or decompressed."""
    try:
        with (lzma.open if path.suffix.lower() == ".xz" else open)(path, "rt", encoding=ENCODING, newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise ModelBuildError(f"{path} is not UTF-8: convert it first") from error
    except (lzma.LZMAError, EOFError) as error:
        raise ModelBuildError(f"{path} is damaged or not an xz file: {error}") from error


def suffixes(path: Path) -> set[str]:
    """Return the suffixes of a file in lower case, such as `.csv` and `.xz`."""
    return {suffix.lower() for suffix in path.suffixes}


def checksum(*paths: Path) -> str:
    """Return one checksum for one or more files."""
    each = [sha256(path) for path in paths]
    return each[0] if len(each) == 1 else hashlib.sha256("\n".join(each).encode()).hexdigest()


def text_checksum(text: str) -> str:
    """Return the `text_sha256` of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _texts(path: Path, checksums: set[str], chat: Path | None) -> dict[str, str]:
    """Find the messages in `chat` with these checksums. The keys of the result are the checksums."""
    if not checksums:
        return {}
    if chat is None:
        raise ModelBuildError(
            f"{path} has text_sha256 in place of {len(checksums)} texts: pass the file with these messages as --chat, "
            "or leave this file out if the command has no such option"
        )
    each = ((text_checksum(message), message) for message in lines(chat))
    found = {key: message for key, message in each if key in checksums}
    if missing := len(checksums - found.keys()):
        raise ModelBuildError(
            f"{path} has text_sha256 of {len(checksums)} texts, {missing} of which are not in {chat}: pass the file "
            "with these messages as --chat"
        )
    return found


def _records(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield the number of each line, and its fields or a description of its problem."""
    if ".csv" in suffixes(path):
        yield from _csv_records(path, file)
        return
    for line, written in enumerate(file, start=1):
        if not written.strip():
            continue
        try:
            fields = json.loads(written)
        except (ValueError, RecursionError) as error:
            yield line, f"not JSON ({error})"
        else:
            yield line, fields if isinstance(fields, dict) else "not a JSON object"


def _csv_records(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield like `_records`, without empty cells. A record that spans several lines has the number of the first."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    reader = csv.DictReader(file)
    try:
        columns = set(reader.fieldnames or ())
        if "label" not in columns or not {"text", "text_sha256"} & columns:
            raise ModelBuildError(
                f"{path}: the first line must be a header with the columns text and label (or text_sha256 and label)"
            )
        before = reader.line_num
        for record in reader:
            yield before + 1, {name: value for name, value in record.items() if value}
            before = reader.line_num
    except csv.Error as error:
        raise ModelBuildError(f"{path}, line {reader.line_num}: not CSV ({error})") from error


def _problem(fields: dict[str, Any]) -> str:
    """Return what is wrong with a row, or an empty string if it is valid."""
    text, label, split = fields.get("text"), fields.get("label"), fields.get("split") or ""
    if text is None and (checksum := fields.get("text_sha256")) is not None:
        if not (isinstance(checksum, str) and _SHA256.fullmatch(checksum)):
            return "text_sha256 is not 64 hexadecimal digits in lower case"
    elif not isinstance(text, str) or not text.strip():
        return "text is missing or empty"
    elif _LONE_SURROGATE.search(text):
        return "text has half of a character, a lone UTF-16 surrogate"
    if isinstance(label, bool) or str(label) not in ("0", "1"):
        return f"label is {_quote(label)}, not 0 or 1"
    if split and split not in SPLITS:
        return f"split is {_quote(split)}, not one of {', '.join(SPLITS)}"
    return ""


def _quote(value: object) -> str:
    quoted = repr(value)
    return quoted if len(quoted) <= MAX_QUOTED_CHARACTERS else f"{len(quoted)} characters long"


def _row(fields: dict[str, Any], texts: Mapping[str, str]) -> Row:
    text, detail = fields.get("text"), fields.get("detail")
    return Row(
        texts[fields["text_sha256"]] if text is None else str(text),
        int(fields["label"]),
        str(fields.get("source") or NO_SOURCE),
        str(fields.get("split") or ""),
        detail if isinstance(detail, dict) else {},
    )
