"""Rank metrics of toxicity scores, the only ones in the project: area under the ROC curve, and rate at a fixed rate.

Both take `weights`, (rows,): how often each row counts, for the bootstrap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

if TYPE_CHECKING:
    import numpy.typing as npt

    Labels = npt.NDArray[np.integer[Any]]
    Scores = npt.NDArray[np.floating[Any]]
    Weights = npt.NDArray[Any]


def auc(labels: Labels, scores: Scores, weights: Weights | None = None) -> float | None:
    """Return the probability that a toxic row outranks a harmless one, ties counting half; None without both labels."""
    toxic, harmless = _sizes(labels, weights)
    if not toxic or not harmless:
        return None
    return float(roc_auc_score(labels, scores, sample_weight=weights))


def true_positive_rate(
    labels: Labels, scores: Scores, false_positive_rate: float, weights: Weights | None = None
) -> float | None:
    """Return the largest share of toxic rows found while the share of harmless rows found is at most the given one.

    None without toxic rows, and where a single harmless row is more than the rate allows.
    """
    toxic, harmless = _sizes(labels, weights)
    if not toxic or harmless * false_positive_rate < 1:
        return None
    false, true, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    return float(true[false <= false_positive_rate].max())


def _sizes(labels: Labels, weights: Weights | None) -> tuple[float, float]:
    counted = np.ones(len(labels)) if weights is None else weights
    return float(counted[labels == 1].sum()), float(counted[labels == 0].sum())
