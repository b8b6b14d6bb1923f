"""The card has a section for everything that `model.json` tells, and none for what it does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_build import model_card
from tests import ROOT
from tests.model_build.conftest import read_json

AT_THRESHOLD = {"sensitivity": 0.5, "specificity": 0.99, "false_positive_rate": 0.01, "f1": 0.6}
AT_A_RATE = {"tpr_at_1_percent": 0.45, "tpr_at_1_percent_interval": None, "tpr_at_1_permille": None}
COUNTS = {"rows": 1200, "toxic": 34}

Card = Callable[..., list[str]]


@pytest.fixture
def card(tmp_path: Path) -> Card:
    """Return the lines of the embedded model's card if `model.json` had these measurements, and nothing optional."""

    def lines(about: dict[str, Any] | None = None, **measured: Any) -> list[str]:
        fields = read_json(ROOT / "model" / "model.json")
        fields["measured"] = {"steps": fields["measured"]["steps"]} | measured
        del fields["about"], fields["threshold_maybe"]
        model_card.write(tmp_path, fields | ({"about": about} if about else {}))
        return (tmp_path / model_card.FILE_NAME).read_text(encoding="utf-8").splitlines()

    return lines


def evaluation(*below: str, **more: Any) -> dict[str, Any]:
    def metrics(auc: float) -> dict[str, Any]:
        one = AT_THRESHOLD | AT_A_RATE | {"calibration_error": 0.02, "auc": auc, "auc_interval": None}
        return {
            "all": one | {"auc_interval": [0.85, 0.95]},
            "mean": one,
            "sources": {"chat": one, "spans": one | {"auc": None}},
            "slices": {"negation": one},
            "below_baseline": below,
        }

    return more | {
        "date": "2026-11-21",
        "machine": "a machine",
        "data": {"file": "f.jsonl", "split": "test", **COUNTS, "sources": {"chat": COUNTS, "spans": COUNTS}},
        "slices": {"negation": {"rule": "has a word such as not", **COUNTS}},
        "model": metrics(0.9123),
        "baseline": metrics(0.8123),
    }


def test_what_was_not_measured_has_no_section(card: Card) -> None:
    headings = [line for line in card() if line.startswith("## ")]
    assert headings == ["## How it was built", "## Cost of quantization", "## Reference scores", "## Limits"]


def test_data_training_and_purpose_are_sections(card: Card) -> None:
    row = {"name": "chat", "origin": "owner/name @ 1234567", "licence": "MIT", "use": "training"}
    lines = card({"summary": "Small.", "data": [row], "training": ["First."], "not_for": ["Sanctions."]})
    for line in ("Small.", "| chat | owner/name @ 1234567 | MIT | training |", "1. First.", "- Sanctions."):
        assert line in lines


def test_every_metric_is_beside_the_baselines(card: Card) -> None:
    lines = card(evaluation=evaluation())
    for line in (
        "| ROC AUC, all texts | 0.912 (0.850 to 0.950) | 0.812 (0.850 to 0.950) |",
        "| chat | 1,200 | 34 | 0.912 | 0.812 |",
        "| negation: has a word such as not | 1,200 | 34 | 0.912 | 0.812 | 0.500 | 0.010 |",
        "| sensitivity at a false-positive rate of 0.1 % | \u2013 | \u2013 |",
        "The n-grams are better on no source.",
    ):
        assert line in lines
    assert not any(line.startswith("| spans") for line in lines), "all its rows are toxic: there is no AUC"
    assert "## Goals" not in lines, "a model that was evaluated before there were goals"
    lines = card(evaluation=evaluation("chat", "mail"))
    assert "The n-grams are as good or better on chat, mail." in lines


def test_goals_have_a_mark_where_they_are_met(card: Card) -> None:
    goal = {"name": "AUC", "bound": 0.95, "at_least": True, "met": False, "model": 0.9496, "baseline": None}
    alarms = {"name": "alarms", "bound": 0.003, "at_least": False, "met": True, "model": 0.00211, "baseline": 0.01}
    lines = card(evaluation=evaluation(goals=[goal, alarms]))
    assert "| AUC | ≥ 0.95 | 0.9496 | \u2013 |" in lines
    assert "| alarms | ≤ 0.003 | 0.00211 ✓ | 0.01 |" in lines


def test_calibration_has_both_thresholds(card: Card) -> None:
    calibration = {
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
    text = " ".join(card(calibration=calibration))
    assert "divided by 1.235" in text
    assert "of 8,795 texts of split dev, which" in text
    assert "1.0 % reach the threshold and 5.0 % the lower one" in text
    text = " ".join(card(calibration=calibration | {"work_rows": 940}))
    assert "of 940 texts of split dev, all from sources similar to work chat, which" in text


def test_the_worst_kinds_and_failures_are_listed(card: Card) -> None:
    toxic = [
        {"kind": "threat", "messages": 8, "shares": {"other": 1.0, "mine": 0.25}},
        {"kind": "rare", "messages": 4, "shares": {"other": 0.0, "mine": 0.5}},
    ]
    harmless = [{"kind": "talk", "messages": 10, "shares": {"other": 0.0, "mine": 0.1}}]
    failures = {"toxic": [{"text": "Leave |\nnow.", "toxicity": 0.014}], "harmless": []}
    lines = card(written={"model": "mine", "kinds": {"toxic": toxic, "harmless": harmless}, "failures": failures})
    assert "| threat | 8 | 25.0 % |" in lines
    assert "| talk | 10 | 10.0 % |" in lines
    assert not any("rare" in line for line in lines), "a kind of four messages says nothing"
    assert "| Leave \\| now. | toxic | 0.01 |" in lines
