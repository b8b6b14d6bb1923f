"""What the card says of data, training, calibration, evaluation and failures is what `model.json` has, and no more."""

from __future__ import annotations

from typing import Any

from model_build import model_story
from model_build.evaluate.examples import EXAMPLES, judged

FIGURES: dict[str, Any] = {
    "auc": 0.9,
    "sensitivity": 0.5,
    "specificity": 0.99,
    "false_positive_rate": 0.01,
    "f1": 0.6,
    "tpr_at_1_percent": 0.45,
    "tpr_at_1_permille": None,
    "calibration_error": 0.02,
}


def evaluation(auc: float, below: list[str]) -> dict[str, Any]:
    one = FIGURES | {"auc": auc}
    return {
        "all": one | {"auc_interval": [0.85, 0.95]},
        "mean": one,
        "sources": {"chat": one, "spans": FIGURES | {"auc": None}},
        "slices": {"negation": one},
        "below_baseline": below,
    }


def told(below: list[str]) -> str:
    counts = {"rows": 1200, "toxic": 34}
    found = {
        "date": "2026-11-21",
        "machine": "a machine",
        "data": {"file": "f.jsonl", "split": "test", **counts, "sources": {"chat": counts, "spans": counts}},
        "slices": {"negation": {"rule": "has a word such as not", **counts}},
        "model": evaluation(0.9123, below),
        "baseline": evaluation(0.8123, []),
    }
    return model_story.measured({"evaluation": found})


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert model_story.about({}) == model_story.measured({}) == ""


def test_data_training_and_purpose_are_sections() -> None:
    row = {"name": "chat", "origin": "owner/name @ 1234567", "licence": "MIT", "use": "training"}
    text = model_story.about({"summary": "Small.", "data": [row], "training": ["First."], "not_for": ["Sanctions."]})
    for line in ("Small.", "| chat | owner/name @ 1234567 | MIT | training |", "1. First.", "- Sanctions."):
        assert line in text.splitlines()


def test_every_figure_stands_beside_the_baselines() -> None:
    text = told([])
    assert "| ROC AUC, all texts together | 0.912 [0.850, 0.950] | 0.812 [0.850, 0.950] |" in text
    assert "| chat | 1,200 | 34 | 0.912 | 0.812 |" in text
    assert "| negation: has a word such as not | 1,200 | 34 | 0.912 | 0.812 | 0.500 | 0.010 |" in text
    assert "1,000 is called toxic | \u2013 | \u2013 |" in text, "a figure that could not be had"
    assert "spans" not in text, "nothing can be ranked where all is toxic"
    assert "They rank no source better." in text


def test_sources_that_the_baseline_ranks_better_are_named() -> None:
    assert "The n-grams rank chat and mail as well or better." in told(["chat", "mail"])


def test_calibration_is_told_with_both_thresholds() -> None:
    text = model_story.measured(
        {
            "calibration": {
                "temperature": 1.23456,
                "rows": 8795,
                "date": "2026-11-21",
                "data": {"split": "dev"},
                "negative_log_likelihood": [0.4, 0.35],
                "calibration_error": [0.05, 0.02],
                "work_sources": ["chat", "mail"],
                "threshold": {"work": {"false_positive_rate": 0.0098}},
                "threshold_maybe": {"work": {"false_positive_rate": 0.0497}},
            }
        }
    )
    assert "divided by 1.235" in text
    assert "1.0% reach the threshold and 5.0% the lower one" in text


def test_a_model_that_calls_everything_toxic_is_right_on_the_toxic_ones_alone() -> None:
    found = judged(lambda _: 0.75, threshold=0.75)
    toxic = sum(example.expected == "toxic" for example in EXAMPLES)
    assert sum(row["right"] for row in found) == toxic
    text = model_story.measured({"examples": found})
    assert f"{len(EXAMPLES)} messages written for the purpose, {toxic} of them judged as a person would" in text
    assert "| plain insults | toxic | 5 of 5 |" in text
    assert "| You are not an idiot. | fine | 0.75 |" in text
    assert "| You are a stupid idiot. |" not in text
