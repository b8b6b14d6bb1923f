"""Which rows are scored, and which slices of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from model_build.errors import ModelBuildError
from model_build.evaluate.evaluation_set import EvaluationSet, disguise, load, slices

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    "Some women wrote it.",
    "I don't think so.",
    "That talk was damn good!",
    "Thanks for the class notes and the assistance.",
]


def written(folder: Path, *rows: tuple[str, int, str, str]) -> Path:
    path = folder / "rows.jsonl"
    keys = ("text", "label", "source", "split")
    path.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_of_the_split_that_are_not_empty_when_folded(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ("a &amp; b", 0, "x", "test"),
        ("c", 1, "", "test"),
        ("\u200b", 1, "x", "test"),
        ("d", 1, "x", "train"),
        ("e", 0, "x", ""),
    )
    assert load(path, "train").texts == ["d", "e"], "a row without a split belongs to train"
    found = load(path, "test")
    assert found.texts == ["a & b", "c"]
    assert found.originals == ["a &amp; b", "c"]
    assert found.labels.tolist() == [0, 1]
    assert found.as_json()["sources"] == {"all": {"rows": 1, "toxic": 1}, "x": {"rows": 1, "toxic": 0}}
    assert "a & b" not in f"{found} {found.as_json()}"


def test_a_smaller_sample_is_part_of_a_larger_one(labelled: Path) -> None:
    small, large = (load(labelled, "test", per_source=number) for number in (5, 8))
    assert set(small.texts) < set(large.texts)
    assert [facts["rows"] for facts in small.as_json()["sources"].values()] == [5, 5, 5]
    assert load(labelled, "test", per_source=5).texts == small.texts
    assert load(labelled, "test", per_source=5, seed=2).texts != small.texts


def test_one_label_alone_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ("a", 0, "x", "test"), ("b", 1, "x", "dev"))
    with pytest.raises(ModelBuildError, match="no rows of both labels, 0 and 1, in its split test"):
        load(path, "test")


@pytest.fixture
def data() -> EvaluationSet:
    sources = np.array(["forum", "gh_incivility", "forum", "forum"])
    return EvaluationSet("file", "0", "test", None, TEXTS, TEXTS, np.array([0, 1, 0, 0]), sources)


@pytest.mark.parametrize(
    ("name", "rows"), [("identity terms", [0]), ("negation", [1]), ("swearing", [2]), ("work chat", [1])]
)
def test_a_slice_has_the_rows_of_its_rule(data: EvaluationSet, name: str, rows: list[int]) -> None:
    (found,) = (part for part in slices(data, seed=1) if part.name == name)
    assert found.rows.tolist() == rows
    assert found.texts == [TEXTS[row] for row in rows]


def test_every_text_is_spelled_differently(data: EvaluationSet) -> None:
    found = {part.name: part.texts for part in slices(data, seed=1)}
    assert found["lower case"] == [text.lower() for text in TEXTS]
    assert all(before != after for before, after in zip(TEXTS, found["leetspeak"], strict=True)), found["leetspeak"]


def test_one_letter_in_every_fourth_word_is_replaced() -> None:
    text = " ".join(["release"] * 40)
    found = disguise(text, seed=1)
    assert len(found) == len(text)
    assert sum(before != after for before, after in zip(text, found, strict=True)) == 10
    assert found == disguise(text, seed=1)
    assert found != disguise(text, seed=2)
    assert disguise("it is a bug", seed=1) == "it is a bug", "all words are short"


def test_placeholders_stay_and_no_user_name_is_made() -> None:
    text = " ".join(["@user http #channel about"] * 40)
    found = disguise(text, seed=1).split()
    assert [word for word in found if word in {"@user", "http", "#channel"}] == ["@user", "http", "#channel"] * 40
    assert len({word for word in found if word.startswith(("4b", "ab"))}) > 1
    assert "@bout" not in found
