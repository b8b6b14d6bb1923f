"""Training examples: the rows of an epoch, variations of texts, and padding of batches."""

import re
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
from transformers import DataCollatorWithPadding

from model_build.augmentation import Augmentation
from model_build.data import Row
from model_build.errors import ModelBuildError
from model_build.train.examples import Examples, mixture

ROWS = [Row(f"text {index}", index % 2, "large" if index < 20 else "small") for index in range(24)]
VARIATIONS = ("typos", "stars", "spaced_letters", "no_punctuation", "capitals", "surrounded", "groups")
NONE: dict[str, Any] = dict.fromkeys(VARIATIONS, 0.0)


def seeded(number: int) -> list[Random]:
    """Return this number of generators with different seeds."""
    return [Random(seed) for seed in range(number)]  # noqa: S311 - toy data, not a secret


def test_a_cap_applies_to_each_label_of_a_source() -> None:
    used = mixture(ROWS, ["large=3"], ["small=2"], seed=1)
    found = Counter((ROWS[index].source, ROWS[index].label) for index in used)
    assert found == {("large", 0): 3, ("large", 1): 3, ("small", 0): 4, ("small", 1): 4}
    assert used == mixture(ROWS, ["large=3"], ["small=2"], seed=1)
    assert used != mixture(ROWS, ["large=3"], ["small=2"], seed=2)
    assert sorted(mixture(ROWS, [], [], seed=1)) == list(range(len(ROWS))), "every row occurs once"
    with pytest.raises(ModelBuildError, match="no row has the source other"):
        mixture(ROWS, ["other=3"], [], seed=1)
    with pytest.raises(ModelBuildError, match="--cap and --times leave no row with label 1"):
        mixture([*ROWS, Row("text", 0, "third")], ["large=0"], ["small=0"], seed=1)


def test_each_epoch_lowercases_another_half_of_the_texts(tokenizer: Any) -> None:
    examples = Examples([Row("THE CODE", 0)] * 200, tokenizer, 32, lower_cased=0.5, seed=3)

    def lower() -> list[bool]:
        ids = tokenizer("the code")["input_ids"]
        return [examples[index]["input_ids"] == ids for index in range(200)]

    first = lower()
    assert 60 < sum(first) < 140
    examples.begin_epoch(1)
    assert lower() != first
    examples.begin_epoch(0)
    assert lower() == first


def test_a_batch_is_truncated_and_padded_and_has_the_teachers_probabilities(tokenizer: Any) -> None:
    soft = np.array([0.25, 0.75], dtype=np.float32)
    examples = Examples([Row("THE &amp; <@U123> " * 9, 0), Row("a", 1)], tokenizer, 16, soft=soft)
    assert examples.lengths() == [16, 3]
    folded = tokenizer.decode(examples[0]["input_ids"], skip_special_tokens=True)
    assert folded.startswith("THE & <@user>"), "as the bot folds texts"
    batch = DataCollatorWithPadding(tokenizer)([examples[0], examples[1]])
    assert batch["input_ids"].shape == (2, 16)
    assert batch["input_ids"][1, 3:].tolist() == [tokenizer.pad_token_id] * 13
    assert batch["attention_mask"].tolist() == [[1] * 16, [1] * 3 + [0] * 13]
    assert batch["labels"].tolist() == [0, 1]
    assert batch["soft"].tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("variation", "expected"),
    [
        ("capitals", {"MERGE, THEN BUILD!"}),
        ("no_punctuation", {"merge then build"}),
        ("spaced_letters", {"m e r g e, then build!", "merge, t h e n build!", "merge, then b u i l d!"}),
    ],
)
def test_a_variation_of_a_text(variation: str, expected: set[str]) -> None:
    augmentation = Augmentation(**NONE | {variation: 1.0})
    assert {augmentation.vary("merge, then build!", random) for random in seeded(30)} == expected


def test_stars_hide_inner_letters_and_typos_swap_drop_or_double_a_letter() -> None:
    hidden, mistyped = (
        {Augmentation(**NONE | {variation: 1.0}).vary("loser", random) for random in seeded(300)}
        for variation in ("stars", "typos")
    )
    assert {"l*ser", "l***r", "los*r"} <= hidden
    assert all(text[0] == "l" and text[-1] == "r" and "*" in text and len(text) == 5 for text in hidden)
    assert {"olser", "oser", "lloser"} <= mistyped
    assert all(2 <= len(text) <= 8 for text in mistyped)


def test_a_text_can_be_surrounded_by_harmless_texts() -> None:
    augmentation = Augmentation(("well done", "see you"), **NONE | {"surrounded": 1.0})
    found = [augmentation.vary("you fool", random) for random in seeded(50)]
    assert all("you fool" in text and ("well done" in text or "see you" in text) for text in found)
    assert {text.startswith("you fool") for text in found} == {True, False}


def test_replacing_a_group_of_people_keeps_the_label() -> None:
    augmentation = Augmentation(**NONE | {"groups": 1.0})
    text = "Gay friends, a black person, a black box; muslims. MUSLIMS!"
    found = {augmentation.vary(text, random) for random in seeded(300)}
    named = [re.fullmatch(r"([A-Z]\S+) friends, a (\S+) person, a black box; (\w+)\. (\w+)!", one) for one in found]
    assert len(found) > 250
    assert all(one and one[3].upper() == one[4] for one in named)
    assert {one[2] for one in named if one} >= {"deaf", "white", "polish"}
    assert {one[1] for one in named if one} >= {"Muslim", "Gay", "White"}


def test_variation_depends_on_seed_and_epoch_and_not_on_the_label(tokenizer: Any) -> None:
    rows = [Row("please merge the build today, thanks!", index % 2) for index in range(400)]

    def varied(epoch: int, seed: int = 1) -> list[list[int]]:
        examples = Examples(rows, tokenizer, 64, augmentation=Augmentation(["nice"]), seed=seed)
        examples.begin_epoch(epoch)
        return [examples[index]["input_ids"] for index in range(len(rows))]

    first = varied(0)
    assert varied(0) == first
    assert varied(1) != first
    assert varied(0, seed=2) != first
    plain = tokenizer(rows[0].text)["input_ids"]
    changed = [np.mean([ids != plain for ids in first[label::2]]) for label in (0, 1)]
    assert changed == pytest.approx([0.35, 0.35], abs=0.1)
