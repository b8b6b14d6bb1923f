"""Plain text for pretraining: read it, tokenize it once, and keep the token ids on disk.

The ids are in one memory-mapped file, so that a resumed run need not tokenize 200 MB of text again. A process that
stops while it tokenizes has kept the pieces that it finished.
"""

from __future__ import annotations

import glob
import time
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset

from model_build import data as labelled
from model_build.errors import ModelBuildError
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt
    from transformers import PreTrainedTokenizerFast

LABELLED = {".jsonl", ".json", ".csv"}
PIECE = 20_000  # lines tokenized at once: a second or two, some ten megabytes
SPECIAL = 2  # tokens that open and close a text


def files(patterns: Sequence[str]) -> list[Path]:
    """Return the files that paths and patterns such as `texts/*.xz` name, each once, in the order given.

    Raises ModelBuildError for a pattern that names none.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        named = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        if not (here := [Path(name) for name in named if Path(name).is_file()]):
            raise ModelBuildError(f"{pattern} names no file: check --data")
        found |= dict.fromkeys(here)
    return list(found)


def texts(paths: Sequence[Path], *, skip_bad_rows: bool = False) -> Iterator[str]:
    """Yield each line that is not blank, and of a labelled file the texts of split train.

    Raises ModelBuildError for a file that cannot be read and for a bad row.
    """
    for path in paths:
        if LABELLED & set(path.suffixes):
            rows = labelled.read(path, skip_bad_rows=skip_bad_rows).of_split("train")
            yield from (row.text for row in rows)
        else:
            yield from labelled.lines(path)


class TokenizedTexts(Dataset[dict[str, Any]]):  # type: ignore[misc]  # torch has no types here
    """Texts as token ids; `draw` seeds the mask of a text and differs from epoch to epoch."""

    def __init__(self, ids: npt.NDArray[Any], lengths: npt.NDArray[np.int64], ends: tuple[int, int]) -> None:
        self._ids, self._lengths, self._ends = ids, lengths, ends
        self._starts = np.cumsum(lengths) - lengths
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        inside = self._ids[self._starts[index] : self._starts[index] + self._lengths[index]].tolist()
        return {"input_ids": [self._ends[0], *inside, self._ends[1]], "draw": self._epoch * len(self) + index}

    def lengths(self) -> Sequence[int]:
        """Return the number of tokens of each text."""
        return (self._lengths + SPECIAL).tolist()  # type: ignore[no-any-return]

    def begin_epoch(self, epoch: int) -> None:
        """Draw other masks in this epoch."""
        self._epoch = epoch

    def split(self, held_out: int) -> tuple[TokenizedTexts, TokenizedTexts]:
        """Return all texts but the last `held_out`, and those."""
        kept = len(self) - held_out
        end = int(self._lengths[:kept].sum())
        return (
            TokenizedTexts(self._ids[:end], self._lengths[:kept], self._ends),
            TokenizedTexts(self._ids[end:], self._lengths[kept:], self._ends),
        )


def tokenize(
    lines: Iterable[str],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    max_length: int,
    lower_cased: float = 0.0,
    until: float = float("inf"),
) -> None:
    """Tokenize what is not in the folder yet; stop once time.monotonic() passes `until`.

    A text longer than `max_length` tokens becomes several. `lower_cased` is the share that is read in lower case.
    """
    if is_tokenized(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    written = len(list(folder.glob("piece-*.npz")))
    remaining = islice(lines, written * PIECE, None)
    for number in count(written):
        if not (piece := [fold(line) for line in islice(remaining, PIECE)]):
            break
        lower = np.random.default_rng(number).random(len(piece)) < lower_cased
        piece = [line.lower() if is_lower else line for line, is_lower in zip(piece, lower, strict=True)]
        encoded = tokenizer(piece, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        size = max_length - SPECIAL
        windows = [ids[start : start + size] for ids in encoded for start in range(0, len(ids), size)]
        ids = np.fromiter(chain.from_iterable(windows), dtype=np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32)
        lengths = np.array([len(window) for window in windows], dtype=np.int64)
        beside = folder / "new.npz"
        np.savez(beside, ids=ids, lengths=lengths)
        beside.replace(folder / f"piece-{number:06d}.npz")
        print(f"tokenized: {number * PIECE + len(piece):,} lines", flush=True)
        if time.monotonic() >= until:
            return
    _join(folder)


def is_tokenized(folder: Path) -> bool:
    """Whether the folder holds all texts."""
    return (folder / "lengths.npy").is_file()


def load(folder: Path, tokenizer: PreTrainedTokenizerFast) -> TokenizedTexts:
    """Return the texts of a folder that is tokenized."""
    ids, lengths = np.load(folder / "ids.npy", mmap_mode="r"), np.load(folder / "lengths.npy")
    return TokenizedTexts(ids, lengths, (tokenizer.cls_token_id, tokenizer.sep_token_id))


def _join(folder: Path) -> None:
    """Join the pieces; `lengths.npy` is written last, so that it means that all is there."""
    files = sorted(folder.glob("piece-*.npz"))
    pieces = [np.load(file) for file in files]
    if not any(len(piece["lengths"]) for piece in pieces):
        raise ModelBuildError("the data has no text to learn from: check --data")
    for name in ("ids", "lengths"):
        beside = folder / "new.npy"
        np.save(beside, np.concatenate([piece[name] for piece in pieces]))
        beside.replace(folder / f"{name}.npy")
    for file in files:
        file.unlink()
