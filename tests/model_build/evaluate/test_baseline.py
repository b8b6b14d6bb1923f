"""The baseline learns, is trained once, and never on what is tested."""

from pathlib import Path

import numpy as np
import pytest

from model_build.data import Row, read
from model_build.errors import ModelBuildError
from model_build.evaluate.evaluation_set import load
from model_build.evaluate.models import train_baseline as train
from model_build.metrics import auc


def test_it_learns_from_words_and_is_trained_once(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tested, rows = load([labelled], "test"), read(labelled).of_split("train")
    first = train(rows, tested, tmp_path)
    assert "training the baseline on 100 texts" in capsys.readouterr().out
    scores = first.load()(tested.texts)
    assert auc(tested.labels, np.array(scores)) == 1.0
    again = train(rows, tested, tmp_path)
    assert capsys.readouterr().out == ""
    assert (again.checksum, again.load()(tested.texts)) == (first.checksum, scores)
    rows[0] = Row(rows[0].text, 1 - rows[0].label, rows[0].source, rows[0].split)
    assert train(rows, tested, tmp_path).checksum != first.checksum


def test_it_is_not_trained_on_what_is_tested(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tested = load([labelled], "test")
    leaked = [Row(text.upper(), 1, "x", "train") for text in tested.texts]
    train([*read(labelled).of_split("train"), *leaked], tested, tmp_path)
    assert "training the baseline on 100 texts" in capsys.readouterr().out


def test_without_rows_of_both_labels_it_cannot_be_trained(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match="a file that has them with --baseline-data"):
        train([Row("a", 0), Row("b", 0)], load([labelled], "test"), tmp_path)
