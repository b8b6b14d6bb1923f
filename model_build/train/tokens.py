"""Texts come in, a folder with their token ids comes out, and from it a data set that stays on disk.

Ids lie in one memory-mapped file, so that 200 MB of text are folded and tokenized once, not at each start of a run; a
process that stops on the way goes on with the next piece.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset

from model_build.errors import ModelBuildError
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from transformers import PreTrainedTokenizerFast

PIECE = 20_000  # lines tokenized at once: a second or two, some ten megabytes
SPECIAL = 2  # tokens that open and close a text


@dataclass(frozen=True)
class Progress:
    """How much of the texts is in the folder: lines read, texts and tokens written."""

    lines: int = 0
    texts: int = 0
    tokens: int = 0
    done: bool = False

    @classmethod
    def read(cls, folder: Path) -> Progress:
        """Return what the folder says, nothing done where it does not exist."""
        try:
            return cls(**json.loads((folder / "progress.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls()

    def write(self, folder: Path) -> None:
        """Replace what the folder says."""
        beside = folder / ".progress.json.new"
        beside.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")
        beside.replace(folder / "progress.json")


class TokenTexts(Dataset[dict[str, Any]]):  # type: ignore[misc]  # torch has no types here
    """Texts as token ids between the tokens that open and close one; `draw` is another number in each epoch."""

    def __init__(
        self,
        ids: npt.NDArray[Any],
        starts: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
        ends: tuple[int, int],
    ) -> None:
        self._ids, self._starts, self._lengths, self._ends = ids, starts, lengths, ends
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        start = self._starts[index]
        inside = self._ids[start : start + self._lengths[index]].tolist()
        return {
            "input_ids": [self._ends[0], *inside, self._ends[1]],
            "draw": self._epoch * len(self) + index,
        }

    def lengths(self) -> Sequence[int]:
        """Return how many tokens each text has."""
        return (self._lengths + SPECIAL).tolist()  # type: ignore[no-any-return]

    def begin_epoch(self, epoch: int) -> None:
        """Number what is drawn in this epoch anew."""
        self._epoch = epoch

    def split(self, held_out: int) -> tuple[TokenTexts, TokenTexts]:
        """Return all texts but the last `held_out`, and those."""
        parts = slice(0, len(self) - held_out), slice(len(self) - held_out, None)
        first, last = (TokenTexts(self._ids, self._starts[part], self._lengths[part], self._ends) for part in parts)
        return first, last


def write(
    texts: Iterable[str],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    max_length: int,
    *,
    lower_cased: float = 0.0,
    until: float = float("inf"),
) -> bool:
    """Tokenize what is not in the folder yet; return False if time.monotonic passed `until` before all was.

    A text longer than `max_length` tokens becomes several; a share of `lower_cased` is read in lower case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress.read(folder)
    if progress.done:
        return True
    with _opened(folder / "ids.bin") as ids, _opened(folder / "lengths.bin") as lengths:
        # What a process wrote after its last word on it is written again.
        ids.truncate(progress.tokens * _id_type(tokenizer)().itemsize)
        lengths.truncate(progress.texts * np.uint32().itemsize)
        ids.seek(0, 2)
        lengths.seek(0, 2)
        remaining = islice(texts, progress.lines, None)
        while piece := list(islice(remaining, PIECE)):
            windows = _windows(_cased(piece, lower_cased, progress.lines), tokenizer, max_length - SPECIAL)
            ids.write(np.array([id_ for window in windows for id_ in window], dtype=_id_type(tokenizer)).tobytes())
            lengths.write(np.array([len(window) for window in windows], dtype=np.uint32).tobytes())
            ids.flush()
            lengths.flush()
            progress = Progress(
                progress.lines + len(piece),
                progress.texts + len(windows),
                progress.tokens + sum(len(window) for window in windows),
            )
            progress.write(folder)
            print(f"tokenized: {progress.lines:,} lines, {progress.tokens:,} tokens", flush=True)
            if time.monotonic() >= until:
                return False
    Progress(progress.lines, progress.texts, progress.tokens, done=True).write(folder)
    return True


def read(folder: Path, tokenizer: PreTrainedTokenizerFast) -> TokenTexts:
    """Return the texts of a folder that is done; raises ModelBuildError if there is none in it."""
    lengths = np.fromfile(folder / "lengths.bin", dtype=np.uint32).astype(np.int64)
    if not len(lengths):
        raise ModelBuildError("the data has no text to learn from: check --data")
    ids = np.memmap(folder / "ids.bin", dtype=_id_type(tokenizer), mode="r")
    return TokenTexts(ids, np.cumsum(lengths) - lengths, lengths, (tokenizer.cls_token_id, tokenizer.sep_token_id))


def _cased(piece: list[str], lower_cased: float, first: int) -> list[str]:
    folded = [fold(text) for text in piece]
    if not lower_cased:
        return folded
    lower = np.random.default_rng(first).random(len(piece)) < lower_cased
    return [text.lower() if is_lower else text for text, is_lower in zip(folded, lower, strict=True)]


def _windows(texts: list[str], tokenizer: PreTrainedTokenizerFast, size: int) -> list[list[int]]:
    encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
    return [ids[start : start + size] for ids in encoded for start in range(0, len(ids), size)]


def _id_type(tokenizer: PreTrainedTokenizerFast) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32


def _opened(path: Path) -> Any:
    path.touch()
    return path.open("r+b")
