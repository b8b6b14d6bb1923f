"""The baseline: it learns, is trained once, and never on what is tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_build.data import Row, read
from model_build.errors import ModelBuildError
from model_build.evaluate.baseline import trained
from model_build.evaluate.figures import measure
from model_build.evaluate.selection import select

if TYPE_CHECKING:
    from pathlib import Path

import numpy as np


def test_it_learns_what_words_tell(labelled: Path, tmp_path: Path) -> None:
    tested = select(labelled, "test")
    found = trained(read(labelled).of_split("train"), tested, tmp_path)
    assert measure(tested.labels, np.array(found.toxicities(tested.texts)), found.threshold).auc == 1.0


def test_it_is_trained_once(labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tested, rows = select(labelled, "test"), read(labelled).of_split("train")
    first = trained(rows, tested, tmp_path)
    assert "training the baseline on 100 texts" in capsys.readouterr().out
    again = trained(rows, tested, tmp_path)
    assert capsys.readouterr().out == ""
    assert (again.checksum, again.toxicities(tested.texts)) == (first.checksum, first.toxicities(tested.texts))
    rows[0] = Row(rows[0].text, 1 - rows[0].label, rows[0].source, rows[0].split)
    assert trained(rows, tested, tmp_path).checksum != first.checksum


def test_what_is_tested_is_not_trained_on(labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tested = select(labelled, "test")
    leaked = [Row(text.upper(), 1, "x", "train") for text in tested.texts]
    trained([*read(labelled).of_split("train"), *leaked], tested, tmp_path)
    assert "training the baseline on 100 texts" in capsys.readouterr().out


def test_without_rows_to_train_on_there_is_none(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match="pass a file that has them with --baseline-data"):
        trained([Row("a", 0), Row("b", 0)], select(labelled, "test"), tmp_path)
