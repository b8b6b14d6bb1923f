"""The order of an epoch: lengths and a seed come in, places of texts come out, so that a batch has texts of like
length.

Each epoch draws its own order from the seed alone: a run that stops and goes on meets the same batches as one that does
not, whatever else has drawn numbers meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.utils.data import Sampler
from transformers import TrainerCallback
from transformers.trainer_pt_utils import get_length_grouped_indices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import TrainerControl, TrainerState, TrainingArguments

MOST_EPOCHS = 1_000_000  # one seed's epochs are not the next seed's


class Texts(Protocol):
    """What a stage trains on."""

    def __len__(self) -> int: ...

    def lengths(self) -> Sequence[int]:
        """Return the tokens of each text."""

    def begin_epoch(self, epoch: int) -> None:
        """Draw anew what is drawn in each epoch."""


class ByLength(Sampler[int]):  # type: ignore[misc]  # torch has no types here
    """Places of all texts, shuffled; those of one step, `together` in number, have like lengths."""

    def __init__(self, texts: Texts, together: int, seed: int) -> None:
        self._lengths, self._together, self._seed = list(texts.lengths()), together, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        chance = torch.Generator().manual_seed(self._seed * MOST_EPOCHS + self.epoch)
        return iter(get_length_grouped_indices(self._lengths, self._together, generator=chance))


class Epochs(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Tells a run that goes on where it stands; what Accelerate tells order and texts starts from epoch 0 again."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self.order: ByLength | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Save and measure as often as this command says, not as the state of a run that goes on does."""
        state.compute_steps(args, state.max_steps)
        return control

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Begin the epoch in which the run stands."""
        del args
        epoch = int(state.epoch)
        self._texts.begin_epoch(epoch)
        if self.order is not None:
            self.order.epoch = epoch
        return control
