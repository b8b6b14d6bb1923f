"""Files come in, plain texts come out, for stages that need no labels: a message or paragraph a line, or labelled rows.

Of a labelled file only the rows of split train are read. Texts come as they were written: whoever reads them folds
them.
"""

from __future__ import annotations

import glob
import hashlib
import lzma
from pathlib import Path
from typing import TYPE_CHECKING

from model_build import data as labelled
from model_build.errors import ModelBuildError
from model_build.source import sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LABELLED = {".jsonl", ".json", ".csv"}


def files(patterns: Sequence[str]) -> list[Path]:
    """Return the files that paths and patterns such as `parts/*.xz` name, each once, in the order given.

    Raises ModelBuildError for a pattern that names none.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        named = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        if not (here := [Path(name) for name in named if Path(name).is_file()]):
            raise ModelBuildError(f"{pattern} names no file: check --data")
        found |= dict.fromkeys(here)
    return list(found)


def checksum(paths: Sequence[Path]) -> str:
    """Return one checksum of all the files."""
    return hashlib.sha256("\n".join(sha256(path) for path in paths).encode()).hexdigest()


def lines(paths: Sequence[Path], *, skip_bad_rows: bool = False) -> Iterator[str]:
    """Yield the texts of all files; raises ModelBuildError for a file that cannot be read, and for a bad row."""
    for path in paths:
        if LABELLED & set(path.suffixes):
            rows = labelled.read(path, skip_bad_rows=skip_bad_rows).of_split("train")
            yield from (row.text for row in rows)
        else:
            yield from plain(path)


def plain(path: Path) -> Iterator[str]:
    """Yield the lines that are not blank, with what ends them; raises ModelBuildError for a file that is damaged."""
    try:
        with labelled.opened(path) as file:
            yield from (line for line in file if not line.isspace())
    except UnicodeDecodeError as error:
        raise ModelBuildError(f"{path} is not UTF-8 (byte {error.start}): convert it first") from error
    except (lzma.LZMAError, EOFError) as error:
        raise ModelBuildError(f"{path} is damaged or no xz file: {error}") from error
