"""Which rows are scored: those of the split, folded, at most so many of a source, always the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from model_build.errors import ModelBuildError
from model_build.evaluate.selection import select

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, *rows: tuple[str, int, str, str]) -> Path:
    path = folder / "rows.jsonl"
    keys = ("text", "label", "source", "split")
    path.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_of_the_split(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ("a &amp; b", 0, "x", "test"),
        ("c", 1, "", "test"),
        ("d", 1, "x", "train"),
        ("\u200b.", 0, "x", "dev"),
    )
    found = select(path, "test")
    assert found.texts == ["a & b", "c"]
    assert found.originals == ["a &amp; b", "c"]
    assert found.labels.tolist() == [0, 1]
    assert found.source_names() == ["all", "x"]
    assert found.as_json()["sources"] == {"all": {"rows": 1, "toxic": 1}, "x": {"rows": 1, "toxic": 0}}


def test_a_row_without_a_split_is_one_of_train(tmp_path: Path) -> None:
    path = written(tmp_path, ("a", 0, "x", ""), ("b", 1, "x", "train"), ("c", 1, "x", "test"))
    assert select(path, "train").texts == ["a", "b"]


def test_what_folds_to_nothing_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, ("\u200b", 1, "x", "test"), ("a", 0, "x", "test"), ("b", 1, "x", "test"))
    assert select(path, "test").texts == ["a", "b"]


def test_a_smaller_draw_is_part_of_a_larger_one(labelled: Path) -> None:
    small, large = (select(labelled, "test", per_source=number) for number in (5, 8))
    assert set(small.texts) < set(large.texts)
    assert {name: facts["rows"] for name, facts in small.as_json()["sources"].items()} == {
        "forum": 5,
        "gh_incivility": 5,
        "spans": 5,
    }
    assert select(labelled, "test", per_source=5).texts == small.texts
    assert select(labelled, "test", per_source=5, seed=2).texts != small.texts


def test_one_label_alone_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ("a", 0, "x", "test"), ("b", 1, "x", "dev"))
    with pytest.raises(ModelBuildError, match="no rows of both labels, 0 and 1, in its split test"):
        select(path, "test")


def test_no_text_is_told(labelled: Path) -> None:
    found = select(labelled, "test")
    assert found.texts[0] not in json.dumps(found.as_json())
    assert found.texts[0] not in repr(found)
