"""Rows come in, token ids for a Trainer come out: folded as the bot folds them, weighed by source, half in lower case.

Which rows are taken how often is the mixture: a source that is large, or all of one label, must not decide what the
model learns, and a toxic-heavy source in lower case must not teach that lower case is toxic.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers.data.data_collator import pad_without_fast_tokenizer_warning

from model_build.errors import ModelBuildError
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt
    from transformers import PreTrainedTokenizerFast

    from model_build.data import Row

LOWER_CASED = 0.5  # of an epoch's texts, drawn anew in each


@dataclass(frozen=True)
class Mixture:
    """How many rows of each source an epoch takes: `caps` at most so many of each label, `times` so many copies."""

    caps: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[str, int] = field(default_factory=dict)

    def indices(self, rows: Sequence[Row], seed: int) -> list[int]:
        """Return the places of the rows that are taken, by chance but always the same ones."""
        if unknown := (self.caps.keys() | self.times.keys()) - {row.source for row in rows}:
            raise ModelBuildError(f"no row is from {', '.join(sorted(unknown))}: --cap and --times name sources")
        groups: dict[tuple[str, int], list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault((row.source, row.label), []).append(index)
        chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
        taken: list[int] = []
        for (source, _), members in sorted(groups.items()):
            cap = self.caps.get(source, len(members))
            kept = chance.sample(members, cap) if cap < len(members) else members
            taken += kept * self.times.get(source, 1)
        return taken


class Examples(Dataset[dict[str, Any]]):  # type: ignore[misc]  # torch has no types here
    """Token ids, each in its own length, with the label and, where there is a teacher, its probability of toxic."""

    def __init__(
        self,
        texts: Iterable[str],
        labels: Sequence[int],
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
        *,
        lower_cased: float = LOWER_CASED,
        soft: npt.NDArray[np.float32] | None = None,
        seed: int = 0,
    ) -> None:
        folded = [fold(text) for text in texts]
        self._labels, self._soft, self._share, self._seed = labels, soft, lower_cased, seed
        self._as_written = _token_ids(folded, tokenizer, max_length)
        self._lower = _token_ids([text.lower() for text in folded], tokenizer, max_length) if lower_cased else []
        self.begin_epoch(0)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example: dict[str, Any] = {
            "input_ids": (self._lower if self._is_lower[index] else self._as_written)[index],
            "labels": self._labels[index],
        }
        if self._soft is not None:
            example["soft"] = float(self._soft[index])
        return example

    def begin_epoch(self, epoch: int) -> None:
        """Draw which texts this epoch reads in lower case: from the seed alone, so that a run can go on."""
        self._is_lower = np.random.default_rng((self._seed, epoch)).random(len(self)) < self._share

    def lengths(self) -> list[int]:
        """Return how many tokens each text has as written, for batches of like length."""
        return [len(ids) for ids in self._as_written]


@dataclass(frozen=True)
class Collator:
    """Pads a batch to its longest text; `soft` is stacked where examples have it."""

    tokenizer: PreTrainedTokenizerFast

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return input_ids and attention_mask, (batch, tokens), labels and perhaps soft, (batch,)."""
        ids = [{"input_ids": example["input_ids"]} for example in examples]
        padded = dict(pad_without_fast_tokenizer_warning(self.tokenizer, ids, return_tensors="pt"))
        padded["labels"] = torch.tensor([example["labels"] for example in examples])
        if "soft" in examples[0]:
            padded["soft"] = torch.tensor([example["soft"] for example in examples])
        return padded


def _token_ids(texts: list[str], tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[list[int]]:
    encoded = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)
    return list(encoded["input_ids"])
