"""The card has a section for everything that `model.json` tells, and none for what it does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from model_build import model_card

ROOT = Path(__file__).parent.parent.parent
METRICS: dict[str, Any] = {
    "auc": 0.9,
    "sensitivity": 0.5,
    "specificity": 0.99,
    "false_positive_rate": 0.01,
    "f1": 0.6,
    "tpr_at_1_percent": 0.45,
    "tpr_at_1_permille": None,
    "calibration_error": 0.02,
}


@pytest.fixture
def fields() -> dict[str, Any]:
    """What `model.json` of the embedded model says, without anything optional."""
    found: dict[str, Any] = json.loads((ROOT / "model" / "model.json").read_text(encoding="utf-8"))
    found["measured"] = {"steps": found["measured"]["steps"]}
    del found["about"], found["threshold_maybe"]
    return found


def card(folder: Path, fields: dict[str, Any]) -> list[str]:
    model_card.write(folder, fields)
    return (folder / model_card.FILE_NAME).read_text(encoding="utf-8").splitlines()


def model_metrics(auc: float, below: list[str]) -> dict[str, Any]:
    interval = {"auc_interval": None, "tpr_at_1_percent_interval": None}
    one = METRICS | interval | {"auc": auc}
    return {
        "all": one | {"auc_interval": [0.85, 0.95]},
        "mean": one,
        "sources": {"chat": one, "spans": one | {"auc": None}},
        "slices": {"negation": one},
        "below_baseline": below,
    }


def evaluation(below: list[str]) -> dict[str, Any]:
    counts = {"rows": 1200, "toxic": 34}
    return {
        "date": "2026-11-21",
        "machine": "a machine",
        "data": {"file": "f.jsonl", "split": "test", **counts, "sources": {"chat": counts, "spans": counts}},
        "slices": {"negation": {"rule": "has a word such as not", **counts}},
        "model": model_metrics(0.9123, below),
        "baseline": model_metrics(0.8123, []),
    }


def test_what_was_not_measured_has_no_section(tmp_path: Path, fields: dict[str, Any]) -> None:
    headings = [line for line in card(tmp_path, fields) if line.startswith("## ")]
    assert headings == ["## How it was built", "## Cost of quantization", "## Reference scores", "## Limits"]


def test_data_training_and_purpose_are_sections(tmp_path: Path, fields: dict[str, Any]) -> None:
    row = {"name": "chat", "origin": "owner/name @ 1234567", "licence": "MIT", "use": "training"}
    fields["about"] = {"summary": "Small.", "data": [row], "training": ["First."], "not_for": ["Sanctions."]}
    lines = card(tmp_path, fields)
    for line in ("Small.", "| chat | owner/name @ 1234567 | MIT | training |", "1. First.", "- Sanctions."):
        assert line in lines


@pytest.mark.parametrize(
    ("below", "sentence"),
    [
        ([], "The n-grams are better on no source."),
        (["chat", "mail"], "The n-grams are as good or better on chat, mail."),
    ],
)
def test_every_metric_is_beside_the_baselines(
    tmp_path: Path, fields: dict[str, Any], below: list[str], sentence: str
) -> None:
    fields["measured"]["evaluation"] = evaluation(below)
    lines = card(tmp_path, fields)
    for line in (
        "| ROC AUC, all texts | 0.912 (0.850 to 0.950) | 0.812 (0.850 to 0.950) |",
        "| chat | 1,200 | 34 | 0.912 | 0.812 |",
        "| negation: has a word such as not | 1,200 | 34 | 0.912 | 0.812 | 0.500 | 0.010 |",
        "| sensitivity at a false-positive rate of 0.1 % | \u2013 | \u2013 |",
        sentence,
    ):
        assert line in lines
    assert not any(line.startswith("| spans") for line in lines), "all its rows are toxic: there is no AUC"


def test_goals_have_a_mark_where_they_are_met(tmp_path: Path, fields: dict[str, Any]) -> None:
    goal = {"name": "AUC", "bound": 0.95, "at_least": True, "met": False, "model": 0.9496, "baseline": None}
    alarms = {"name": "alarms", "bound": 0.003, "at_least": False, "met": True, "model": 0.00211, "baseline": 0.01}
    fields["measured"]["evaluation"] = evaluation([]) | {"goals": [goal, alarms]}
    lines = card(tmp_path, fields)
    assert "| AUC | ≥ 0.95 | 0.9496 | \u2013 |" in lines
    assert "| alarms | ≤ 0.003 | 0.00211 ✓ | 0.01 |" in lines
    fields["measured"]["evaluation"] = evaluation([])
    assert "## Goals" not in card(tmp_path, fields), "a model that was evaluated before there were goals"


def test_calibration_has_both_thresholds(tmp_path: Path, fields: dict[str, Any]) -> None:
    fields["measured"]["calibration"] = {
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
    text = " ".join(card(tmp_path, fields))
    assert "divided by 1.235" in text
    assert "of 8,795 texts of split dev, which" in text
    fields["measured"]["calibration"]["work_rows"] = 940
    text = " ".join(card(tmp_path, fields))
    assert "of 940 texts of split dev, all from sources similar to work chat, which" in text
    assert "1.0 % reach the threshold and 5.0 % the lower one" in text


def test_the_worst_kinds_and_failures_are_listed(tmp_path: Path, fields: dict[str, Any]) -> None:
    fields["measured"]["written"] = {
        "model": "mine",
        "kinds": {
            "toxic": [
                {"kind": "threat", "messages": 8, "shares": {"other": 1.0, "mine": 0.25}},
                {"kind": "rare", "messages": 4, "shares": {"other": 0.0, "mine": 0.5}},
            ],
            "harmless": [{"kind": "talk", "messages": 10, "shares": {"other": 0.0, "mine": 0.1}}],
        },
        "failures": {"toxic": [{"text": "Leave |\nnow.", "toxicity": 0.014}], "harmless": []},
    }
    lines = card(tmp_path, fields)
    assert "| threat | 8 | 25.0 % |" in lines
    assert "| talk | 10 | 10.0 % |" in lines
    assert not any("rare" in line for line in lines), "a kind of four messages says nothing"
    assert "| Leave \\| now. | toxic | 0.01 |" in lines
