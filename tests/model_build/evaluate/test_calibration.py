"""Calibration finds the temperature of scaled logits, and thresholds with the promised false-positive rate."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_build.data import read
from model_build.errors import ModelBuildError
from model_build.evaluate import calibration
from model_build.evaluate.cli import calibrate
from model_build.evaluate.evaluation_set import load
from model_build.verify import verify
from tests.model_build.conftest import read_json, write_rows
from toxicity_bot import Classifier

RANDOM = np.random.default_rng(3)
RATE = 0.2  # of 20 harmless texts
EXCLUSIVE = {"labels": ["fine", "toxic"], "toxic_labels": ["toxic"], "activation": "softmax"}


@pytest.fixture
def rows(labelled: Path) -> list[dict[str, Any]]:
    """The labelled texts with some labels flipped. Without errors there is no best temperature."""
    found: list[dict[str, Any]] = [json.loads(line) for line in labelled.read_text(encoding="utf-8").splitlines()]
    for row in found[::7]:
        row["label"] = 1 - row["label"]
    return found


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_calibration_finds_the_temperature(temperature: float) -> None:
    true = RANDOM.normal(0, 2, size=20_000)
    labels = (RANDOM.random(20_000) < 1 / (1 + np.exp(-true))).astype(np.int64)
    both = np.stack([np.zeros_like(true), true], axis=1) * temperature
    found = calibration._temperature(both, EXCLUSIVE, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    one = {"labels": ["toxic"], "toxic_labels": ["toxic"], "activation": "sigmoid"}
    assert calibration._temperature(true[:, None] * temperature, one, labels) == pytest.approx(found, abs=2e-3)


def test_scores_unrelated_to_the_labels_have_no_temperature() -> None:
    logits = np.array([[0.0, 1.0], [1.0, 0.0]] * 50)
    with pytest.raises(ModelBuildError, match="no temperature between"):
        calibration._temperature(logits, EXCLUSIVE, np.array([0, 1] * 50))


def test_the_threshold_is_the_lowest_within_the_false_positive_rate() -> None:
    harmless = RANDOM.beta(1, 5, size=500)
    for rate in (0.01, 0.05, 0.1):
        threshold = calibration._rate_threshold(harmless, rate)
        assert (harmless >= threshold).mean() <= rate
        assert (harmless >= threshold - 0.01).mean() > rate
        assert threshold == round(threshold, 2)
    assert calibration._rate_threshold(np.linspace(0.01, 1, 100), 0.29) == 0.72, "29 of 100, though 0.29 * 100 < 29"
    for score in (0.29, 0.3, 0.999, 0.0):
        assert calibration._rate_threshold(np.array([score] * 50), 0.1) > score, "equal scores must not exceed the rate"


def test_the_likely_threshold_is_where_most_messages_are_toxic(capsys: pytest.CaptureFixture[str]) -> None:
    scores, labels = np.linspace(0.01, 1, 100), np.zeros(100, dtype=np.int64)
    labels[80:] = 1
    assert calibration._precise_threshold(scores, labels, 0.6, 0.2) == 0.68, "20 of 33"
    assert calibration._precise_threshold(scores, labels, 0.6, 0.75) == 0.75, "never lowered"
    assert calibration._precise_threshold(scores, labels, 1.0, 0.01) == 0.81
    assert calibration._precise_threshold(scores[91:], labels[91:], 0.6, 0.3) == 0.3, "nine messages are too few"
    assert not capsys.readouterr().out
    labels[60:70], labels[95:] = 1, 0
    assert calibration._precise_threshold(scores, labels, 0.6, 0.2) == 0.6, "25 of 41"
    assert calibration._precise_threshold(scores, labels, 0.6, 0.72) == 0.76, "15 of 25, after 15 of 29"
    assert not capsys.readouterr().out
    assert calibration._precise_threshold(scores, labels, 0.8, 0.2) == 0.81, "15 of 20, the highest share"
    assert "at no threshold are 80 % of" in (printed := capsys.readouterr().out)
    assert "at 0.81 it is 75 %" in printed


def test_a_model_is_calibrated_in_place_and_again_without_changes(
    model: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    before = (model / "model.json").read_bytes()
    mixed = write_rows(tmp_path / "mixed.jsonl", *rows)
    with pytest.raises(ModelBuildError, match="has 0 harmless and 0 toxic texts from nowhere"):
        calibrate([mixed], model, work_sources="nowhere", threads=1)
    assert (model / "model.json").read_bytes() == before
    calibrate([mixed], model, false_positive_rate=RATE, threads=1)
    fields = read_json(model / "model.json")
    found = fields["measured"]["calibration"]
    assert fields["temperature"] == found["temperature"] != 1.0
    assert 0 < fields["threshold_maybe"] <= fields["threshold"] <= 1
    assert found["threshold"]["work"]["false_positive_rate"] <= RATE
    assert found["threshold_maybe"]["work"]["false_positive_rate"] <= 0.5
    assert found["negative_log_likelihood"][1] <= found["negative_log_likelihood"][0]
    assert found["work_sources"] == ["gh_incivility"]
    assert (found["rows"], found["work_rows"]) == (50, 20)
    verify(model)  # the reference scores use the new temperature
    assert str(fields["threshold"]) in (model / "MODEL_CARD.md").read_text()

    # The temperature depends only on the work sources, whichever file they are in.
    work = write_rows(tmp_path / "work.jsonl", *(row for row in rows if row["source"] == "gh_incivility"))
    flipped = [row | {"label": 1 - row["label"]} for row in rows if row["source"] == "forum"]
    other = write_rows(tmp_path / "other.jsonl", *flipped)
    calibrate([other, work], model, false_positive_rate=RATE, threads=1)
    again = read_json(model / "model.json")
    for name in ("temperature", "threshold", "threshold_maybe"):
        assert again[name] == pytest.approx(fields[name], abs=2e-3)
    assert again["measured"]["calibration"]["data"]["file"] == "other.jsonl, work.jsonl"


def test_with_unlabelled_chat_the_thresholds_keep_its_number_of_alarms(
    model: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    mixed, chat = write_rows(tmp_path / "mixed.jsonl", *rows), tmp_path / "chat.txt"
    messages = sorted({row["text"] for row in rows})
    chat.write_text("".join(f"{text}\n" for text in messages))
    calibrate([mixed], model, chat=chat, false_positive_rate=RATE, chat_rate=0.06, threads=1)
    fields = read_json(model / "model.json")
    sample = load(read(mixed), "dev", chat).chat
    assert fields["measured"]["calibration"]["chat"] == {"messages": len(sample), "rate": 0.06}
    scores = np.array([Classifier(model, threads=1).assess(text).toxicity for text in sample])
    assert (scores >= fields["threshold"] - 0.02).mean() > 0
    assert (scores >= fields["threshold"]).mean() <= 0.06 < (scores >= fields["threshold_maybe"] - 0.02).mean()
    assert (scores >= fields["threshold_maybe"]).mean() <= 0.3
    assert f"unlabelled chat: at most 6.0 % of {len(sample)} messages" in (model / "MODEL_CARD.md").read_text()
