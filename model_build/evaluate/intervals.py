"""Labels, sources and several models' scores come in, 95 % intervals come out: rows drawn again, 1,000 times.

A draw takes as many rows of each source as there are, with replacement, and is the same for all models, so that two
of them can be compared. Percentile bootstrap: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
AT_ONCE = 25  # draws: their matrices of rows stay within some ten megabytes
RATE = 0.01

Interval = tuple[float, float]


@dataclass(frozen=True)
class Intervals:
    """Lower and upper ends; None where too few draws had both labels."""

    auc: Interval | None
    mean_source_auc: Interval | None
    tpr_at_1_percent: Interval | None
    mean_source_auc_above_baseline: Interval | None
    """Of the difference to the first model's, draw by draw; None for that model itself."""
    source_auc: dict[str, Interval | None]


def bootstrap(
    labels: npt.NDArray[np.int64],
    sources: npt.NDArray[np.str_],
    scores: Mapping[str, Floats],
    draws: int,
    seed: int,
) -> dict[str, Intervals]:
    """Return the intervals of every model; the first of `scores` is the baseline of all others."""
    names, codes = np.unique(sources, return_inverse=True)
    members = [np.flatnonzero(codes == code) for code in range(len(names))]
    ranked = {name: _Ranked(labels, found) for name, found in scores.items()}
    within = {name: [_Ranked(labels[rows], found[rows]) for rows in members] for name, found in scores.items()}
    random = np.random.default_rng(seed)
    overall: dict[str, list[Floats]] = {name: [] for name in scores}
    found_at: dict[str, list[Floats]] = {name: [] for name in scores}
    by_source: dict[str, list[Floats]] = {name: [] for name in scores}
    for start in range(0, draws, AT_ONCE):
        counts = _drawn(random, members, min(AT_ONCE, draws - start), len(labels))
        for name in scores:
            overall[name].append(ranked[name].auc(counts))
            found_at[name].append(ranked[name].tpr(counts, RATE))
            parts = zip(within[name], members, strict=True)
            by_source[name].append(np.stack([part.auc(counts[:, rows]) for part, rows in parts], axis=1))
    aucs = {name: np.concatenate(found) for name, found in by_source.items()}
    means = {name: _mean_of_known(found) for name, found in aucs.items()}
    first = next(iter(scores))
    return {
        name: Intervals(
            auc=_percentiles(np.concatenate(overall[name])),
            mean_source_auc=_percentiles(means[name]),
            tpr_at_1_percent=_percentiles(np.concatenate(found_at[name])),
            mean_source_auc_above_baseline=None if name == first else _percentiles(means[name] - means[first]),
            source_auc={str(source): _percentiles(aucs[name][:, column]) for column, source in enumerate(names)},
        )
        for name in scores
    }


class _Ranked:
    """Rows sorted by score once, so that a draw, given as how often each row is in it, costs sums alone."""

    def __init__(self, labels: npt.NDArray[np.int64], scores: Floats) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        self._toxic = labels[self._order] == 1
        # Equal scores cannot be told apart by any threshold: they count as one step.
        self._steps = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))

    def auc(self, counts: npt.NDArray[np.int64]) -> Floats:
        """Return one area for each row of `counts`, NaN where a draw lacks a label."""
        positives, negatives = self._by_step(counts)
        above = positives.cumsum(axis=1) - positives / 2
        return _divided((above * negatives).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))

    def tpr(self, counts: npt.NDArray[np.int64], rate: float) -> Floats:
        """Return the share of toxic rows above the lowest step at which the false-positive rate is at most `rate`."""
        positives, negatives = self._by_step(counts)
        most = rate * negatives.sum(axis=1, keepdims=True)
        found = (positives * (negatives.cumsum(axis=1) <= most)).sum(axis=1)
        # As in `figures`: where one harmless row is more than the rate allows there is no figure.
        return _divided(found, positives.sum(axis=1) * (most[:, 0] >= 1))

    def _by_step(self, counts: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        ranked = counts[:, self._order].astype(np.float64)
        positives = np.add.reduceat(ranked * self._toxic, self._steps, axis=1)
        return positives, np.add.reduceat(ranked, self._steps, axis=1) - positives


def _drawn(
    random: np.random.Generator, members: list[npt.NDArray[np.int64]], draws: int, rows: int
) -> npt.NDArray[np.int64]:
    """Return how often each row is in each draw: a line a draw, a column a row."""
    counts = np.zeros((draws, rows), dtype=np.int64)
    for here in members:
        size = len(here)
        picked = random.integers(size, size=(draws, size)) + np.arange(draws)[:, None] * size
        counts[:, here] = np.bincount(picked.ravel(), minlength=draws * size).reshape(draws, size)
    return counts


def _mean_of_known(by_source: Floats) -> Floats:
    known = ~np.isnan(by_source)
    return _divided(np.where(known, by_source, 0.0).sum(axis=1), known.sum(axis=1))


def _divided(part: Floats, whole: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> Floats:
    quotient: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return quotient


def _percentiles(values: Floats) -> Interval | None:
    """Return None if more than a tenth of the draws had no figure: the rest would not be a fair sample of them."""
    known = values[~np.isnan(values)]
    if len(known) < 0.9 * len(values):
        return None
    low, high = np.percentile(known, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return float(low), float(high)
