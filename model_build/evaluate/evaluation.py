"""Evaluate models on one evaluation set: metrics over all rows, by source and by slice, with bootstrap intervals.

`evaluate` returns the contents of `report.json`, and `report_files` writes the file.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import config_context

from model_build.benchmark import describe_machine
from model_build.evaluate import goals
from model_build.evaluate.evaluation_set import slices
from model_build.evaluate.models import cached_scores, milliseconds, progress_bar
from model_build.metrics import auc, mean, measure, reliability, true_positive_rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.evaluate.evaluation_set import EvaluationSet, Slice
    from model_build.evaluate.models import Model
    from model_build.metrics import Labels, Scores

VERSIONS = ("numpy", "onnxruntime", "scikit-learn", "tokenizers", "torch", "transformers")
TIMED = 200  # texts to time, spread evenly over the evaluation set
CONFIDENCE = 0.95
FALSE_POSITIVE_RATE = 0.01
MIN_KNOWN_SHARE = 0.9  # of the draws; if fewer have a value, those that do are not a fair sample

Interval = tuple[float, float]


@dataclass(frozen=True)
class Evaluation:
    """The contents of `report.json`, and the scores that each model, by name, gave the evaluation set."""

    report: dict[str, Any]
    labels: Labels
    scores: dict[str, Scores]


def evaluate(
    data: EvaluationSet, models: Sequence[Model], cache: Path, draws: int, seed: int, threads: int
) -> Evaluation:
    """Score the texts that are not in the cache, and return the evaluation. The first model is the baseline.

    The report has a dictionary for each model:

    - `kind`, `checksum`, `bytes`, `threshold`, `threshold_maybe` and `milliseconds`.
    - `all`, `mean` (over sources), `sources` and `slices`: the fields of `metrics.Metrics`.
    - `mean_source_auc`: the metric for comparing models.
    - `below_baseline`: the sources on which its AUC is not above the baseline's.
    - `far_below_baseline`: the sources on which its AUC is significantly below the baseline's.
    - `reliability`: the bins of the reliability diagram.
    """
    parts = slices(data, seed)
    # Scored together, so that a text that a slice leaves unchanged is scored only once.
    texts = list(dict.fromkeys([*data.texts, *data.chat, *(text for part in parts for text in part.texts)]))
    scored = {model.name: dict(zip(texts, cached_scores(model, texts, cache), strict=True)) for model in models}
    scores = {name: _scores_of(data.texts, found) for name, found in scored.items()}
    draws_by_model = bootstrap(data.labels, data.sources, scores, draws, seed)
    fields = {
        model.name: _evaluate_model(model, data, parts, scored[model.name], found, draws_by_model[0])
        for model, found in zip(models, draws_by_model, strict=True)
    }
    baseline = fields[models[0].name]
    baseline["mean"]["auc_above_baseline_interval"] = None
    for found in fields.values():
        found["below_baseline"] = [] if found is baseline else _below(found["sources"], baseline["sources"])
    goal_values = {
        model.name: goals.values(
            model, data, scores[model.name], _scores_of(data.chat, scored[model.name]), fields[model.name]
        )
        for model in models
    }
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "threads": threads,
        "versions": {name: version(name) for name in VERSIONS},
        "data": data.as_json(),
        "bootstrap": {"draws": draws, "seed": seed, "confidence": CONFIDENCE},
        "slices": {
            part.name: {"rule": part.rule, "rows": len(part.rows), "toxic": int(data.labels[part.rows].sum())}
            for part in parts
        },
        "baseline": models[0].name,
        "goals": goals.as_json(goal_values),
        "written": goals.written_messages(data, models, scores),
        "models": fields,
    }
    return Evaluation(report, data.labels, scores)


def bootstrap(
    labels: Labels, sources: npt.NDArray[np.str_], scores: Mapping[str, Scores], draws: int, seed: int
) -> npt.NDArray[np.float64]:
    """Return the metrics of all draws, (models, draws, metrics). NaN means unknown.

    The metrics are the AUC and the true-positive rate over all rows, the mean AUC of the sources, and the AUC of each
    source in alphabetical order. A draw resamples each source with replacement and keeps its size. All models get the
    same draws, so differences are paired. Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    rows_of = {str(source): np.flatnonzero(sources == source) for source in np.unique(sources)}
    random = np.random.default_rng(seed)
    found = np.empty((len(scores), draws, 3 + len(rows_of)))
    # Scores and labels are known to be valid, so skip sklearn's checks in thousands of calls.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for draw in progress_bar(range(draws), desc="evaluate: bootstrap", unit="draw"):
            weights = resample(rows_of.values(), random)
            for number, each in enumerate(scores.values()):
                overall = auc(labels, each, weights), true_positive_rate(labels, each, FALSE_POSITIVE_RATE, weights)
                by_source = (auc(labels[rows], each[rows], weights[rows]) for rows in rows_of.values())
                found[number, draw, :2] = np.array(overall, dtype=np.float64)
                found[number, draw, 3:] = np.array([*by_source], dtype=np.float64)
    found[:, :, 2] = np.ma.masked_invalid(found[:, :, 3:]).mean(axis=2).filled(np.nan)
    return found


def resample(strata: Iterable[npt.NDArray[np.int64]], random: np.random.Generator) -> Scores:
    """Draw with replacement within each stratum; return how often each row was drawn."""
    rows = list(strata)
    weights = np.zeros(sum(map(len, rows)))
    for stratum in rows:
        weights[stratum] = np.bincount(random.integers(len(stratum), size=len(stratum)), minlength=len(stratum))
    return weights


def _evaluate_model(
    model: Model,
    data: EvaluationSet,
    parts: Sequence[Slice],
    known: Mapping[str, float],
    draws: npt.NDArray[np.float64],
    draws_of_baseline: npt.NDArray[np.float64],
) -> dict[str, Any]:
    scores, names = _scores_of(data.texts, known), data.source_names()
    auc_ends, rate_ends, mean_ends, *source_ends = intervals(draws)
    _, _, mean_above, *source_above = intervals(draws - draws_of_baseline)  # the difference in each draw
    timed = np.linspace(0, len(data.texts) - 1, min(TIMED, len(data.texts))).astype(int)
    by_source = {
        name: measure(data.labels[here], scores[here], model.threshold)
        for name in names
        for here in [data.sources == name]
    }
    by_slice = {
        part.name: measure(data.labels[part.rows], _scores_of(part.texts, known), model.threshold) for part in parts
    }
    overall, averages = measure(data.labels, scores, model.threshold), mean(list(by_source.values()))
    return {
        "kind": model.kind,
        "checksum": model.checksum,
        "bytes": model.bytes,
        "threshold": model.threshold,
        "threshold_maybe": model.threshold_maybe,
        "milliseconds": round(milliseconds(model.load(), [data.texts[row] for row in timed]), 2),
        "mean_source_auc": averages.as_json()["auc"],
        "all": overall.as_json() | {"auc_interval": auc_ends, "tpr_at_1_percent_interval": rate_ends},
        "mean": averages.as_json() | {"auc_interval": mean_ends, "auc_above_baseline_interval": mean_above},
        "sources": {
            name: one.as_json() | {"auc_interval": ends}
            for (name, one), ends in zip(by_source.items(), source_ends, strict=True)
        },
        "slices": {name: one.as_json() for name, one in by_slice.items()},
        "far_below_baseline": [name for name, above in zip(names, source_above, strict=True) if above and above[1] < 0],
        "reliability": reliability(data.labels, scores),
    }


def _below(sources: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    return [name for name, one in sources.items() if one["auc"] is not None and one["auc"] <= baseline[name]["auc"]]


def _scores_of(texts: Sequence[str], known: Mapping[str, float]) -> Scores:
    return np.array([known[text] for text in texts])


def intervals(draws: npt.NDArray[np.float64]) -> list[Interval | None]:
    """Return the confidence interval of each column of (draws, metrics), or None if too few draws have a value."""
    return [_percentiles(column) for column in draws.T]


def _percentiles(values: Scores) -> Interval | None:
    known = values[~np.isnan(values)]
    if len(known) < MIN_KNOWN_SHARE * len(values):
        return None
    low, high = np.percentile(known, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return round(float(low), 6), round(float(high), 6)
