"""Read plain text for pretraining, tokenize it once, and store the token ids on disk.

The ids are in one memory-mapped file, so a resumed run does not tokenize 200 MB of text again. If a process stops
during tokenization, the finished pieces stay on disk.
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
from model_build.train import trainer
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt
    from transformers import PreTrainedTokenizerFast

LABELLED = {".jsonl", ".json", ".csv"}
PIECE = 20_000  # lines tokenized at once: takes one or two seconds and about 10 MB
SPECIAL = 2  # special tokens per text, at its start and its end


def files(patterns: Sequence[str]) -> list[Path]:
    """Expand paths and patterns such as `texts/*.xz` to files, without duplicates and in the given order.

    Raises ModelBuildError if a pattern matches no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        named = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        if not (here := [Path(name) for name in named if Path(name).is_file()]):
            raise ModelBuildError(f"{pattern} matches no file: pass a file or a pattern such as texts/*.xz")
        found |= dict.fromkeys(here)
    return list(found)


def texts(paths: Sequence[Path], *, skip_bad_rows: bool = False, print_skipped: bool = True) -> Iterator[str]:
    """Yield the non-blank lines of text files and the texts of split `train` from labelled files.

    Raises ModelBuildError if a file cannot be read or, without `skip_bad_rows`, if it has a bad row.
    """
    for path in paths:
        if LABELLED & labelled.suffixes(path):
            data = labelled.read(path, skip_bad_rows=skip_bad_rows)
            for line in data.describe_skipped() if print_skipped else ():
                trainer.log(line)
            yield from (row.text for row in data.of_split("train"))
        else:
            yield from labelled.lines(path)


class TokenizedTexts(Dataset[dict[str, Any]]):  # type: ignore[misc]  # torch has no types here
    """Texts as token ids. `draw` seeds the mask of a text and changes with each epoch."""

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
        """Use new masks for this epoch."""
        self._epoch = epoch

    def split(self, held_out: int) -> tuple[TokenizedTexts, TokenizedTexts]:
        """Split off the last `held_out` texts; return the remaining texts and the held-out ones."""
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
    """Tokenize the lines that are not in the folder yet; stop once time.monotonic() passes `until`.

    A text longer than `max_length` tokens is split into several. `lower_cased` is the share of lines to lower-case.
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
        temporary = folder / "new.npz"
        np.savez(temporary, ids=ids, lengths=lengths)
        temporary.replace(folder / f"piece-{number:06d}.npz")
        print(f"tokenized: {number * PIECE + len(piece):,} lines", flush=True)
        if time.monotonic() >= until:
            return
    _join(folder)


def is_tokenized(folder: Path) -> bool:
    """Whether all texts in the folder are tokenized."""
    return (folder / "lengths.npy").is_file()


def load(folder: Path, tokenizer: PreTrainedTokenizerFast) -> TokenizedTexts:
    """Load the tokenized texts from a folder."""
    ids, lengths = np.load(folder / "ids.npy", mmap_mode="r"), np.load(folder / "lengths.npy")
    return TokenizedTexts(ids, lengths, (tokenizer.cls_token_id, tokenizer.sep_token_id))


def _join(folder: Path) -> None:
    """Concatenate the pieces. `lengths.npy` is written last, so its presence means that the folder is complete."""
    files = sorted(folder.glob("piece-*.npz"))
    pieces = [np.load(file) for file in files]
    if not any(len(piece["lengths"]) for piece in pieces):
        raise ModelBuildError("the data contains no text to train on: check --data")
    for name in ("ids", "lengths"):
        temporary = folder / "new.npy"
        np.save(temporary, np.concatenate([piece[name] for piece in pieces]))
        temporary.replace(folder / f"{name}.npy")
    for file in files:
        file.unlink()
