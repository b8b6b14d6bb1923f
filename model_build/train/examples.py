"""Turn labelled rows into training examples: sample and repeat rows, and augment texts in each epoch.

Random choices depend only on the seed and the epoch, so a resumed run repeats them. They do not depend on the label, so
the model cannot use an augmentation to recognize toxic texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset

from model_build.errors import ModelBuildError
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from transformers import PreTrainedTokenizerFast

    from model_build.augmentation import Augmentation
    from model_build.data import Row


def mixture(rows: Sequence[Row], cap: Sequence[str], times: Sequence[str], seed: int) -> list[int]:
    """Return the indices of the rows that make up an epoch. The same seed gives the same indices.

    `cap` and `times` are lists of SOURCE=NUMBER. `cap` is the maximum number of rows per label of a source, `times` the
    number of copies of each row. Raises ModelBuildError if no row has such a source, or if no row of a label is left.
    """
    caps, copies = ({source: int(n) for source, _, n in (one.rpartition("=") for one in all_)} for all_ in (cap, times))
    if unknown := (caps.keys() | copies.keys()) - {row.source for row in rows}:
        raise ModelBuildError(f"no row has the source {', '.join(sorted(unknown))}: correct --cap or --times")
    groups: dict[tuple[str, int], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault((row.source, row.label), []).append(index)
    random = Random(seed)  # noqa: S311 - a sample, not a secret
    used: list[int] = []
    for (source, _), members in sorted(groups.items()):
        kept = random.sample(members, caps[source]) if caps.get(source, len(members)) < len(members) else members
        used += kept * copies.get(source, 1)
    if missing := {0, 1} - {rows[index].label for index in used}:
        raise ModelBuildError(
            f"--cap and --times leave no row with label {min(missing)}: use more of a source that has some"
        )
    return used


@dataclass
class Examples(Dataset[dict[str, Any]]):  # type: ignore[misc]  # torch has no types here
    """Token ids of folded texts, their labels and, if there is a teacher, its probability of toxic (`soft`)."""

    rows: Sequence[Row]
    tokenizer: PreTrainedTokenizerFast
    max_length: int
    lower_cased: float = 0.0
    augmentation: Augmentation | None = None
    soft: npt.NDArray[np.float32] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self._folded = [fold(row.text) for row in self.rows]
        self._epoch = -1
        self.begin_epoch(0)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example: dict[str, Any] = {"input_ids": self._ids[index], "labels": self.rows[index].label}
        return example if self.soft is None else example | {"soft": float(self.soft[index])}

    def begin_epoch(self, epoch: int) -> None:
        """Augment and tokenize the texts for this epoch."""
        if epoch == self._epoch:
            return
        self._epoch = epoch
        is_lower = np.random.default_rng((self.seed, epoch)).random(len(self)) < self.lower_cased
        varied = (self._varied(index) for index in range(len(self)))
        texts = [text.lower() if lower else text for text, lower in zip(varied, is_lower, strict=True)]
        cut = {"truncation": True, "max_length": self.max_length, "return_attention_mask": False}
        self._ids: list[list[int]] = self.tokenizer(texts, **cut)["input_ids"]

    def lengths(self) -> list[int]:
        """Return the number of tokens of each text in this epoch."""
        return [len(ids) for ids in self._ids]

    def _varied(self, index: int) -> str:
        """Augment and fold a text. Unchanged texts are not folded again: folding is slower than tokenizing."""
        if self.augmentation is None:
            return self._folded[index]
        random = Random(f"{self.seed}/{self._epoch}/{index}")  # noqa: S311 - augmentation, not a secret
        text = self.rows[index].text
        varied = self.augmentation.vary(text, random)
        return self._folded[index] if varied == text else fold(varied)
