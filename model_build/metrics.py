"""Metrics of toxicity scores. All of the project's AUCs, true-positive rates and calibration errors come from here.

Labels are 0 (harmless) or 1 (toxic), scores are from 0 to 1, and both have the shape (rows,). `weights`, also (rows,),
are the number of times each row counts, for the bootstrap. A metric that is undefined for the rows, such as an AUC
without harmless rows, is None.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Labels = npt.NDArray[np.integer[Any]]
    Scores = npt.NDArray[np.floating[Any]]
    Weights = npt.NDArray[Any]

RELIABILITY_BINS = 15  # of equal width, as in Guo et al. 2017, On Calibration of Modern Neural Networks


def auc(labels: Labels, scores: Scores, weights: Weights | None = None) -> float | None:
    """Return the probability that a toxic row outranks a harmless one. Ties count half. None without both labels."""
    if not np.bincount(labels, weights, minlength=2).all():
        return None
    return float(roc_auc_score(labels, scores, sample_weight=weights))


def true_positive_rate(
    labels: Labels, scores: Scores, false_positive_rate: float, weights: Weights | None = None
) -> float | None:
    """Return the highest true-positive rate at a false-positive rate of at most the given one.

    None without toxic rows, or if a single harmless row already exceeds the false-positive rate.
    """
    harmless, toxic = np.bincount(labels, weights, minlength=2)
    if not toxic or harmless * false_positive_rate < 1:
        return None
    false, true, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    return float(true[false <= false_positive_rate].max())


def reliability(labels: Labels, scores: Scores) -> list[dict[str, float]]:
    """Return the non-empty bins of a reliability diagram, lowest first.

    Each has the number of rows, their mean score and the share of toxic ones.
    """
    bins = np.minimum((scores * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    return [
        {"rows": int(inside.sum()), "score": float(scores[inside].mean()), "toxic": float(labels[inside].mean())}
        for inside in (bins == index for index in np.unique(bins))
    ]


def calibration_error(labels: Labels, scores: Scores) -> float:
    """Return the expected calibration error of the score as the probability of being toxic."""
    bins = reliability(labels, scores)
    return sum(part["rows"] * abs(part["score"] - part["toxic"]) for part in bins) / len(labels)


@dataclass(frozen=True)
class Metrics:
    """Metrics of the scores of some rows, from 0 to 1. The first six depend on the model's threshold."""

    sensitivity: float | None
    """Share of the toxic rows that are called toxic."""
    false_negative_rate: float | None
    specificity: float | None
    """Share of the harmless rows that are called harmless."""
    false_positive_rate: float | None
    precision: float | None
    """Share of the rows called toxic that are toxic."""
    f1: float | None
    auc: float | None
    average_precision: float | None
    tpr_at_1_percent: float | None
    """True-positive rate at a false-positive rate of 1 in 100."""
    tpr_at_1_permille: float | None
    """True-positive rate at a false-positive rate of 1 in 1,000."""
    calibration_error: float | None

    def as_json(self) -> dict[str, float | None]:
        """Return the metrics rounded to six digits."""
        return {name: None if value is None else round(value, 6) for name, value in asdict(self).items()}


def measure(labels: Labels, scores: Scores, threshold: float) -> Metrics:
    """Return the metrics of the rows, of which there must be at least one."""
    toxic, called = labels == 1, scores >= threshold
    found, alarms = int((called & toxic).sum()), int((called & ~toxic).sum())
    positives, negatives = int(toxic.sum()), int((~toxic).sum())
    both = bool(positives and negatives)
    return Metrics(
        sensitivity=_ratio(found, positives),
        false_negative_rate=_ratio(positives - found, positives),
        specificity=_ratio(negatives - alarms, negatives),
        false_positive_rate=_ratio(alarms, negatives),
        precision=_ratio(found, found + alarms) if both else None,
        f1=_ratio(2 * found, found + alarms + positives) if both else None,
        auc=auc(labels, scores),
        average_precision=float(average_precision_score(labels, scores)) if both else None,
        tpr_at_1_percent=true_positive_rate(labels, scores, 1e-2),
        tpr_at_1_permille=true_positive_rate(labels, scores, 1e-3),
        calibration_error=calibration_error(labels, scores),
    )


def mean(each: Sequence[Metrics]) -> Metrics:
    """Return the mean of every metric, ignoring None."""
    columns = {field.name: [getattr(one, field.name) for one in each] for field in fields(Metrics)}
    known = {name: [value for value in column if value is not None] for name, column in columns.items()}
    return Metrics(**{name: sum(values) / len(values) if values else None for name, values in known.items()})


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
