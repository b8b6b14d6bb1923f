"""Calibration: the temperature that a model was made wrong by is found, thresholds keep what they promise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from model_build.errors import ModelBuildError
from model_build.evaluate import calibration
from model_build.evaluate.__main__ import main
from model_build.evaluate.calibration import Logits
from model_build.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found_again(temperature: float) -> None:
    true = RANDOM.normal(0, 2, size=20_000)
    labels = (RANDOM.random(20_000) < 1 / (1 + np.exp(-true))).astype(np.int64)
    both = np.stack([np.zeros_like(true), true], axis=1) * temperature
    found = calibration._temperature(Logits(both, np.array([False, True]), "softmax"), labels)
    assert found == pytest.approx(temperature, rel=0.05)
    one = Logits(true[:, None] * temperature, np.array([True]), "sigmoid")
    assert calibration._temperature(one, labels) == pytest.approx(found, abs=2e-3)


def test_scores_that_have_nothing_to_do_with_the_labels_have_no_temperature() -> None:
    logits = Logits(np.array([[0.0, 1.0], [1.0, 0.0]] * 50), np.array([False, True]), "softmax")
    with pytest.raises(ModelBuildError, match="no temperature between"):
        calibration._temperature(logits, np.array([0, 1] * 50))


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
def test_the_threshold_is_the_lowest_that_keeps_the_rate(rate: float) -> None:
    harmless = RANDOM.beta(1, 5, size=500)
    threshold = calibration._threshold(harmless, rate)
    assert (harmless >= threshold).mean() <= rate
    assert (harmless >= threshold - 0.01).mean() > rate
    assert threshold == round(threshold, 2)


@pytest.mark.parametrize("score", [0.29, 0.3, 0.999, 0.0])
def test_equal_scores_do_not_break_the_rate(score: float) -> None:
    assert calibration._threshold(np.array([score] * 50), 0.1) > score


def calibrated(model: Path, labelled: Path, *more: str) -> int:
    arguments = ["calibrate", "--model", str(model), "--data", str(labelled), "--threads", "1"]
    return main([*arguments, "--false-positive-rate", "0.2", *more])


def test_a_model_is_calibrated_in_place(model: Path, mixed: Path) -> None:
    assert calibrated(model, mixed) == 0
    fields = json.loads((model / "model.json").read_text())
    found = fields["measured"]["calibration"]
    assert fields["temperature"] == found["temperature"] != 1.0
    assert 0 < fields["threshold_maybe"] <= fields["threshold"] <= 1
    assert found["threshold"]["work"]["false_positive_rate"] <= 0.2
    assert found["threshold_maybe"]["work"]["false_positive_rate"] <= 0.5
    before, after = found["negative_log_likelihood"]
    assert after <= before
    assert found["work_sources"] == ["gh_incivility"]
    verify(model)  # reference scores are those of the new temperature
    assert str(fields["threshold"]) in (model / "MODEL_CARD.md").read_text()


def test_a_second_time_changes_nothing(model: Path, mixed: Path) -> None:
    found = []
    for _ in range(2):
        assert calibrated(model, mixed) == 0
        fields = json.loads((model / "model.json").read_text())
        found.append([fields["temperature"], fields["threshold"], fields["threshold_maybe"]])
    assert found[1] == pytest.approx(found[0], abs=2e-3)


def test_too_few_harmless_texts_are_refused(model: Path, mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (model / "model.json").read_bytes()
    assert calibrated(model, mixed, "--work-sources", "nowhere") == 1
    assert "has 0 harmless texts of nowhere" in capsys.readouterr().err
    assert (model / "model.json").read_bytes() == before


@pytest.fixture
def mixed(labelled: Path, tmp_path: Path) -> Path:
    """The labelled texts with some labels turned round: without an error no temperature is the best."""
    lines = [json.loads(line) for line in labelled.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(lines):
        if number % 7 == 0:
            row["label"] = 1 - row["label"]
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")
    return path
