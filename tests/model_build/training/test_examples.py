"""Which rows an epoch takes, how they are folded and lower-cased, and how a batch is padded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from model_build.data import Row
from model_build.errors import ModelBuildError
from model_build.train.examples import Collator, Examples, Mixture

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [Row(f"text {place}", place % 2, "large" if place < 20 else "small") for place in range(24)]


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> Any:
    return AutoTokenizer.from_pretrained(base)


def test_a_cap_holds_for_each_label_of_a_source() -> None:
    taken = Mixture({"large": 3}, {"small": 2}).indices(ROWS, seed=1)
    assert Counter((ROWS[place].source, ROWS[place].label) for place in taken) == {
        ("large", 0): 3,
        ("large", 1): 3,
        ("small", 0): 4,
        ("small", 1): 4,
    }
    assert taken == Mixture({"large": 3}, {"small": 2}).indices(ROWS, seed=1)
    assert taken != Mixture({"large": 3}, {"small": 2}).indices(ROWS, seed=2)


def test_without_a_mixture_every_row_is_taken_once() -> None:
    assert sorted(Mixture().indices(ROWS, seed=1)) == list(range(len(ROWS)))


def test_a_mixture_of_sources_that_are_not_there() -> None:
    with pytest.raises(ModelBuildError, match="no row is from other"):
        Mixture({"other": 3}).indices(ROWS, seed=1)


def test_texts_are_folded_as_the_bot_folds_them(tokenizer: Any) -> None:
    examples = Examples(["THE &amp; <@U123>", "the"], [0, 1], tokenizer, 32, lower_cased=0.0)
    assert tokenizer.decode(examples[0]["input_ids"], skip_special_tokens=True) == "THE & <@user>"


def test_half_of_the_texts_are_lower_cased_others_in_each_epoch(tokenizer: Any) -> None:
    examples = Examples(["THE CODE"] * 200, [0] * 200, tokenizer, 32, seed=3)

    def lower() -> list[bool]:
        ids = tokenizer("the code")["input_ids"]
        return [examples[place]["input_ids"] == ids for place in range(200)]

    first = lower()
    assert 60 < sum(first) < 140
    examples.begin_epoch(1)
    assert lower() != first
    examples.begin_epoch(0)
    assert lower() == first


def test_long_texts_are_cut(tokenizer: Any) -> None:
    examples = Examples(["the " * 100, "the"], [0, 1], tokenizer, 16)
    assert examples.lengths() == [16, 4]
    assert len(examples[0]["input_ids"]) == 16


def test_a_batch_is_padded_and_keeps_the_teachers_word(tokenizer: Any) -> None:
    soft = np.array([0.25, 0.75], dtype=np.float32)
    examples = Examples(["the code", "a"], [0, 1], tokenizer, 32, lower_cased=0.0, soft=soft)
    batch = Collator(tokenizer)([examples[0], examples[1]])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, 5)
    assert batch["input_ids"][1, -1] == tokenizer.pad_token_id
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch["labels"].tolist() == [0, 1]
    assert batch["soft"].tolist() == [0.25, 0.75]
