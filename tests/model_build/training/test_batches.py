"""The order of an epoch: every text once, like lengths together, from the seed and the epoch alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerState

from model_build.train.batches import ByLength, Epochs

if TYPE_CHECKING:
    from collections.abc import Sequence


class Texts:
    def __init__(self) -> None:
        self.epoch = -1

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, place: int) -> dict[str, Any]:
        raise NotImplementedError

    def lengths(self) -> Sequence[int]:
        return [3 + place * 7 % 60 for place in range(1000)]

    def begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def test_every_text_once_and_like_lengths_together() -> None:
    texts = Texts()
    order = list(ByLength(texts, 10, seed=1))
    assert sorted(order) == list(range(1000))
    lengths = texts.lengths()
    spreads = [
        max(lengths[place] for place in order[start : start + 10])
        - min(lengths[place] for place in order[start : start + 10])
        for start in range(0, 1000, 10)
    ]
    assert sum(spreads) / len(spreads) < 10


def test_an_order_depends_on_seed_and_epoch_alone() -> None:
    first = ByLength(Texts(), 10, seed=1)
    one = list(first)
    torch.manual_seed(99)
    assert list(first) == one
    first.epoch = 1
    assert list(first) != one
    assert list(ByLength(Texts(), 10, seed=2)) != one


def test_a_run_that_goes_on_saves_and_measures_as_often_as_it_is_told() -> None:
    state = TrainerState(max_steps=9, save_steps=200, eval_steps=100, logging_steps=50)
    told = SimpleNamespace(save_steps=3, eval_steps=5, logging_steps=50)
    Epochs(Texts()).on_train_begin(told, state, SimpleNamespace())
    assert (state.save_steps, state.eval_steps, state.logging_steps) == (3, 5, 50)


def test_a_run_that_goes_on_begins_the_epoch_in_which_it_stands() -> None:
    texts = Texts()
    epochs = Epochs(texts)
    epochs.order = ByLength(texts, 10, seed=1)
    epochs.on_epoch_begin(SimpleNamespace(), SimpleNamespace(epoch=2.4), SimpleNamespace())
    assert (texts.epoch, epochs.order.epoch) == (2, 2)
