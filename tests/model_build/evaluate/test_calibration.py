"""Calibration finds the temperature that scaled the logits, and thresholds with the promised false-positive rate."""

import json
from pathlib import Path

import numpy as np
import pytest

from model_build.errors import ModelBuildError
from model_build.evaluate import calibration
from model_build.evaluate.calibration import Logits
from model_build.evaluate.cli import calibrate
from model_build.verify import verify
from toxicity_bot import Classifier

RANDOM = np.random.default_rng(3)
RATE = 0.2  # of 20 harmless texts


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(temperature: float) -> None:
    true = RANDOM.normal(0, 2, size=20_000)
    labels = (RANDOM.random(20_000) < 1 / (1 + np.exp(-true))).astype(np.int64)
    both = np.stack([np.zeros_like(true), true], axis=1) * temperature
    found = calibration._temperature(Logits(both, np.array([False, True]), "softmax"), labels)
    assert found == pytest.approx(temperature, rel=0.05)
    one = Logits(true[:, None] * temperature, np.array([True]), "sigmoid")
    assert calibration._temperature(one, labels) == pytest.approx(found, abs=2e-3)


def test_scores_unrelated_to_the_labels_have_no_temperature() -> None:
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


def test_likely_is_said_where_most_of_it_is_toxic() -> None:
    scores, labels = np.linspace(0.01, 1, 100), np.zeros(100, dtype=np.int64)
    labels[80:] = 1
    assert calibration._promised(scores, labels, 0.6) == 0.68, "20 of 33"
    assert calibration._promised(scores, labels, 1.0) == 0.81
    assert calibration._promised(scores[81:], labels[81:], 1.0) == 0.01
    assert calibration._promised(scores, 1 - labels, 0.9) == 0, "the highest ten are harmless"
    assert calibration._promised(scores[91:], labels[91:], 0.6) == 0, "nine messages say nothing"


def test_a_model_is_calibrated_in_place_and_a_second_time_changes_nothing(model: Path, mixed: Path) -> None:
    calibrate([mixed], model, false_positive_rate=RATE, threads=1)
    fields = json.loads((model / "model.json").read_text())
    found = fields["measured"]["calibration"]
    assert fields["temperature"] == found["temperature"] != 1.0
    assert 0 < fields["threshold_maybe"] <= fields["threshold"] <= 1
    assert found["threshold"]["work"]["false_positive_rate"] <= RATE
    assert found["threshold_maybe"]["work"]["false_positive_rate"] <= 0.5
    before, after = found["negative_log_likelihood"]
    assert after <= before
    assert found["work_sources"] == ["gh_incivility"]
    assert (found["rows"], found["work_rows"]) == (50, 20)
    verify(model)  # the reference scores are those of the new temperature
    assert str(fields["threshold"]) in (model / "MODEL_CARD.md").read_text()

    calibrate([mixed], model, false_positive_rate=RATE, threads=1)
    again = json.loads((model / "model.json").read_text())
    for name in ("temperature", "threshold", "threshold_maybe"):
        assert again[name] == pytest.approx(fields[name], abs=2e-3)


def test_the_temperature_is_that_of_the_work_sources_alone(model: Path, mixed: Path, tmp_path: Path) -> None:
    calibrate([mixed], model, false_positive_rate=RATE, threads=1)
    before = json.loads((model / "model.json").read_text())["temperature"]
    rows = [json.loads(line) for line in mixed.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["label"] = 1 - row["label"] if row["source"] == "forum" else row["label"]
    other, work = tmp_path / "other.jsonl", tmp_path / "work.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in rows if row["source"] != "gh_incivility"))
    work.write_text("".join(json.dumps(row) + "\n" for row in rows if row["source"] == "gh_incivility"))
    calibrate([other, work], model, false_positive_rate=RATE, threads=1)
    fields = json.loads((model / "model.json").read_text())
    assert fields["temperature"] == pytest.approx(before, abs=2e-3)
    assert fields["measured"]["calibration"]["data"]["file"] == "other.jsonl, work.jsonl"


def test_with_unlabelled_chat_the_thresholds_keep_the_number_of_alarms_there(
    model: Path, mixed: Path, tmp_path: Path
) -> None:
    chat = tmp_path / "chat.txt"
    chat.write_text("".join(f"{row['text']}\n" for row in map(json.loads, mixed.read_text().splitlines())))
    calibrate([mixed], model, chat=chat, false_positive_rate=RATE, chat_rate=0.06, threads=1)
    fields = json.loads((model / "model.json").read_text())
    messages = sorted(set(chat.read_text().splitlines()))
    assert fields["measured"]["calibration"]["chat"] == {"messages": len(messages), "rate": 0.06}
    scores = np.array([Classifier(model, threads=1).assess(text).toxicity for text in messages])
    assert (scores >= fields["threshold"] - 0.02).mean() > 0
    assert (scores >= fields["threshold"]).mean() <= 0.06 < (scores >= fields["threshold_maybe"] - 0.02).mean()
    assert (scores >= fields["threshold_maybe"]).mean() <= 0.3
    assert f"unlabelled chat: at most 6.0 % of {len(messages)} messages" in (model / "MODEL_CARD.md").read_text()


def test_too_few_harmless_texts_are_refused(model: Path, mixed: Path) -> None:
    before = (model / "model.json").read_bytes()
    with pytest.raises(ModelBuildError, match="has 0 harmless and 0 toxic texts from nowhere"):
        calibrate([mixed], model, work_sources="nowhere", threads=1)
    assert (model / "model.json").read_bytes() == before


@pytest.fixture
def mixed(labelled: Path, tmp_path: Path) -> Path:
    """The labelled texts with some labels flipped: without errors there is no best temperature."""
    rows = [json.loads(line) for line in labelled.read_text(encoding="utf-8").splitlines()]
    for row in rows[::7]:
        row["label"] = 1 - row["label"]
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
