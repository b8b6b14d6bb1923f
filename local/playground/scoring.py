"""The second tab of the page: a text's score with its details, and metrics from the model's card."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from toxicity_bot.message_text import FoldedText

if TYPE_CHECKING:
    from pathlib import Path

    from toxicity_bot import Classifier
    from toxicity_bot.settings import Thresholds

# Metrics from the model card: a label, the path of the number in model.json, and its format.
_FIGURES = (
    ("A toxic message scores above a harmless one (ROC AUC, mean of the collections)", ("mean_source_auc",), "{:.3f}"),
    ("The same, over all messages together", ("all", "auc"), "{:.3f}"),
    ("Toxic messages found if 1 in 100 harmless ones is labeled toxic", ("all", "tpr_at_1_percent"), "{:.0%}"),
    ("Work-like messages: toxic ones labeled toxic", ("slices", "work chat", "sensitivity"), "{:.0%}"),
    (
        "Work-like messages: harmless ones labeled toxic",
        ("slices", "work chat", "false_positive_rate"),
        "{:.1%}",
    ),
    ("Calibration error", ("all", "calibration_error"), "{:.3f}"),
)


def card(directory: Path) -> dict[str, Any]:
    """Return the model's description from model.json. Figures and failures are empty if it was not measured."""
    fields = json.loads((directory / "model.json").read_text(encoding="utf-8"))
    measured = fields.get("measured", {})
    evaluation = measured.get("evaluation", {})
    data, goals = evaluation.get("data", {}), evaluation.get("goals", [])
    figures = [(label, _figure(evaluation.get("model", {}), path, form)) for label, path, form in _FIGURES]
    return {
        "name": fields.get("source", directory.name),
        "licence": fields.get("licence", ""),
        "parameters": fields.get("parameters", 0),
        "measured": f"{data['rows']:,} texts, {data['toxic']:,} of them toxic, {evaluation['date']}" if data else "",
        "figures": [(label, figure) for label, figure in figures if figure],
        "goals_met": sum(bool(goal["met"]) for goal in goals),
        "goals": len(goals),
        # The worst mistakes on messages that were written for the evaluation, by label.
        "failures": (measured.get("written") or {}).get("failures", {}),
        "not_for": fields.get("about", {}).get("not_for", []),
    }


def _figure(measured: Any, path: tuple[str, ...], form: str) -> str:
    for name in path:
        measured = measured.get(name) if isinstance(measured, dict) else None
    return "" if measured is None else form.format(measured).replace("%", " %")


def score(classifier: Classifier, text: str, thresholds: Thresholds) -> dict[str, Any]:
    """Judge a text as the bot does. Windows and folded text are empty if there is nothing to judge."""
    started = time.perf_counter()
    verdict = classifier.verdict(text, thresholds)
    milliseconds = (time.perf_counter() - started) * 1000
    try:
        folded = FoldedText.of(text)
        windows = classifier.windows(folded)
    except ValueError:
        return {"outcome": verdict.outcome, "score": None, "reason": verdict.reason, "folded": "", "windows": []}
    return {
        "outcome": verdict.outcome,
        "score": verdict.score,
        "reason": verdict.reason,
        "raw_score": max(window.toxicity for window in windows),
        "words": verdict.words,
        "rest": verdict.rest,
        "share": verdict.share,
        "folded": folded.folded,
        "windows": [{"text": window.text, "toxicity": window.toxicity} for window in windows],
        "milliseconds": round(milliseconds, 1),
    }
