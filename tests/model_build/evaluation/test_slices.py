"""The slices: each rule finds what it names, spellings change as they say, and the same seed gives the same texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from model_build.evaluate.selection import Selection, select
from model_build.evaluate.slices import disguised, slices

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    "Some women wrote it.",
    "I don't think so.",
    "That talk was damn good!",
    "Thanks for the class notes and the assistance.",
]


@pytest.fixture
def selection() -> Selection:
    sources = np.array(["forum", "gh_incivility", "forum", "forum"])
    return Selection("file", "0", "test", None, TEXTS, TEXTS, np.array([0, 1, 0, 0]), sources)


@pytest.mark.parametrize(
    ("name", "rows"), [("identity terms", [0]), ("negation", [1]), ("swearing", [2]), ("work chat", [1])]
)
def test_a_rule_finds_what_it_names(selection: Selection, name: str, rows: list[int]) -> None:
    (found,) = (part for part in slices(selection, seed=1) if part.name == name)
    assert found.rows.tolist() == rows
    assert found.texts == [TEXTS[row] for row in rows]


def test_every_text_is_spelt_otherwise(selection: Selection) -> None:
    found = {part.name: part.texts for part in slices(selection, seed=1)}
    assert found["lower case"] == [text.lower() for text in TEXTS]
    changed = [before != after for before, after in zip(TEXTS, found["leetspeak"], strict=True)]
    assert all(changed), found["leetspeak"]


def test_a_slice_without_rows_is_left_out(labelled: Path) -> None:
    names = [part.name for part in slices(select(labelled, "test"), seed=1)]
    assert "work chat" in names
    assert "swearing" not in names


def test_a_few_letters_are_replaced() -> None:
    text = " ".join(["release"] * 40)
    found = disguised(text, seed=1)
    assert len(found) == len(text)
    assert sum(before != after for before, after in zip(text, found, strict=True)) == 10, "one letter in every 4th word"
    assert found == disguised(text, seed=1)
    assert found != disguised(text, seed=2)


def test_placeholders_stay_and_no_name_is_made() -> None:
    text = " ".join(["@user http #channel about"] * 40)
    found = disguised(text, seed=1).split()
    assert [word for word in found if word in {"@user", "http", "#channel"}] == ["@user", "http", "#channel"] * 40
    assert len({word for word in found if word.startswith(("4b", "ab"))}) > 1
    assert "@bout" not in found


def test_short_words_are_left_alone() -> None:
    assert disguised("it is a bug", seed=1) == "it is a bug"
