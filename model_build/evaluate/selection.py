"""A file of labelled messages comes in, the messages that are to be scored come out: folded, in a fixed order.

Knows nothing of models. A row that names no split is one of train, one without a source belongs to "all".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model_build.data import Row, read
from model_build.errors import ModelBuildError
from model_build.source import sha256
from toxicity_bot import emoji_names, leetspeak, message_text
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


@dataclass(frozen=True)
class Selection:
    """Texts as the model reads them, with a label (1 is toxic) and a source each."""

    file: str
    sha256: str
    split: str
    per_source: int | None
    texts: list[str] = field(repr=False)
    originals: list[str] = field(repr=False)
    """The same texts as they were written."""
    labels: npt.NDArray[np.int64] = field(repr=False)
    sources: npt.NDArray[np.str_] = field(repr=False)

    def source_names(self) -> list[str]:
        """Return every source once, in the order of the alphabet."""
        return sorted({str(source) for source in self.sources})

    def as_json(self) -> dict[str, Any]:
        """Return what the texts are, for `report.json`; none of them is in it."""
        return {
            "file": self.file,
            "sha256": self.sha256,
            "split": self.split,
            "per_source": self.per_source,
            "rows": len(self.texts),
            "toxic": int(self.labels.sum()),
            "sources": {
                name: {"rows": int(here.sum()), "toxic": int(self.labels[here].sum())}
                for name in self.source_names()
                for here in [self.sources == name]
            },
        }


def select(path: Path, split: str, per_source: int | None = None, seed: int = 1) -> Selection:
    """Return the messages of a split, at most `per_source` of each source, drawn at random but always the same.

    Raises ModelBuildError if there are not both toxic and harmless ones. What folds to nothing is left out.
    """
    rows = read(path).of_split(split)
    if per_source is not None:
        rows = _drawn(rows, per_source, seed)
    folded = [(fold(row.text), row) for row in rows]
    kept = [(text, row) for text, row in folded if text]
    labels = np.array([row.label for _, row in kept], dtype=np.int64)
    if set(labels.tolist()) != {0, 1}:
        raise ModelBuildError(f"{path} has no rows of both labels, 0 and 1, in its split {split}: pass another --split")
    return Selection(
        file=path.name,
        sha256=sha256(path),
        split=split,
        per_source=per_source,
        texts=[text for text, _ in kept],
        originals=[row.text for _, row in kept],
        labels=labels,
        sources=np.array([row.source for _, row in kept]),
    )


def folding_checksum() -> str:
    """Return what changes with whatever changes how texts are folded."""
    return " ".join(sha256(Path(str(module.__file__))) for module in (message_text, emoji_names, leetspeak))


def _drawn(rows: Sequence[Row], per_source: int, seed: int) -> list[Row]:
    """Ranked by a checksum, so that a smaller draw is part of a larger one and scores of one serve the other."""
    by_source: dict[str, list[Row]] = {}
    for row in rows:
        by_source.setdefault(row.source, []).append(row)
    return [row for source in sorted(by_source) for row in sorted(by_source[source], key=_rank(seed))[:per_source]]


def _rank(seed: int) -> Any:
    return lambda row: hashlib.sha256(f"{seed} {row.text}".encode()).digest()
