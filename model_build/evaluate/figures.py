"""Labels and scores come in, the figures by which a classifier is judged come out.

A figure that the rows cannot give, such as a false-positive rate where nothing is harmless, is None.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    Labels = npt.NDArray[np.int64]
    Scores = npt.NDArray[np.float64]

BINS = 15  # of equal width, as in Guo et al. 2017, On Calibration of Modern Neural Networks


@dataclass(frozen=True)
class Figures:
    """How good the scores of some rows are, as shares from 0 to 1; the first six at the model's threshold."""

    sensitivity: float | None
    """Share of the toxic rows that are called toxic."""
    false_negative_rate: float | None
    specificity: float | None
    """Share of the harmless rows that are called harmless."""
    false_positive_rate: float | None
    precision: float | None
    """Share of the rows called toxic that are."""
    f1: float | None
    auc: float | None
    """Probability that a toxic row outranks a harmless one."""
    average_precision: float | None
    tpr_at_1_percent: float | None
    """Share of the toxic rows found where one harmless row in 100 is called toxic."""
    tpr_at_1_permille: float | None
    """The same, where it is one in 1,000."""
    calibration_error: float | None
    """Expected calibration error: the mean distance between score and share of toxic rows, over bins, by size."""

    def as_json(self) -> dict[str, float | None]:
        """Return the figures with six digits."""
        return {name: None if value is None else round(value, 6) for name, value in asdict(self).items()}


def measure(labels: Labels, scores: Scores, threshold: float) -> Figures:
    """Return the figures of at least one row."""
    toxic = labels == 1
    called = scores >= threshold
    found, alarms = int((called & toxic).sum()), int((called & ~toxic).sum())
    positives, negatives = int(toxic.sum()), int((~toxic).sum())
    both = bool(positives and negatives)
    sensitivity = _ratio(found, positives)
    specificity = _ratio(negatives - alarms, negatives)
    return Figures(
        sensitivity=sensitivity,
        false_negative_rate=None if sensitivity is None else 1 - sensitivity,
        specificity=specificity,
        false_positive_rate=_ratio(alarms, negatives),
        precision=_ratio(found, found + alarms) if both else None,
        f1=_ratio(2 * found, found + alarms + positives) if both else None,
        auc=float(roc_auc_score(labels, scores)) if both else None,
        average_precision=float(average_precision_score(labels, scores)) if both else None,
        tpr_at_1_percent=_tpr_at(labels, scores, 1e-2),
        tpr_at_1_permille=_tpr_at(labels, scores, 1e-3),
        calibration_error=calibration_error(labels, scores),
    )


def mean(each: Iterable[Figures]) -> Figures:
    """Return the mean of every figure, over those that have it."""
    rows = list(each)
    columns = {one.name: [getattr(row, one.name) for row in rows] for one in fields(Figures)}
    known = {name: [value for value in column if value is not None] for name, column in columns.items()}
    return Figures(**{name: sum(values) / len(values) if values else None for name, values in known.items()})


@dataclass(frozen=True)
class Bin:
    """Rows of like score: how many, their mean score, and the share of them that is toxic."""

    rows: int
    score: float
    toxic: float


def bins(labels: Labels, scores: Scores) -> list[Bin]:
    """Return the bins that have rows, the lowest scores first."""
    number = np.minimum((scores * BINS).astype(int), BINS - 1)
    return [
        Bin(int(here.sum()), float(scores[here].mean()), float(labels[here].mean()))
        for here in (number == index for index in range(BINS))
        if here.any()
    ]


def calibration_error(labels: Labels, scores: Scores) -> float:
    """Return the expected calibration error of the score as the probability of being toxic."""
    return sum(one.rows * abs(one.score - one.toxic) for one in bins(labels, scores)) / len(labels)


def _tpr_at(labels: Labels, scores: Scores, false_positive_rate: float) -> float | None:
    """Return None as well where a single harmless row is already more than the rate allows."""
    harmless = int((labels == 0).sum())
    if harmless * false_positive_rate < 1 or harmless == len(labels):
        return None
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    return float(true[false <= false_positive_rate].max())


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
