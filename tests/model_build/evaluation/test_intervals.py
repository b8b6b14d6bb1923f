"""The bootstrap: its sums give scikit-learn's figures for a draw, its intervals are as wide as they should be."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from model_build.evaluate import intervals
from model_build.evaluate.figures import measure
from model_build.evaluate.intervals import bootstrap

RANDOM = np.random.default_rng(7)


def drawn(rows: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels of equal number, and scores with many ties."""
    labels = np.arange(rows) % 2
    scores = np.clip(RANDOM.normal(0.4 + distance * labels, 0.15), 0, 1).round(2)
    return labels, scores


def test_a_draw_has_the_figures_of_the_rows_repeated() -> None:
    labels, scores = drawn(600, 0.2)
    ranked = intervals._Ranked(labels, scores)
    counts = RANDOM.integers(0, 4, size=(3, 600))
    for number, (auc, tpr) in enumerate(zip(ranked.auc(counts), ranked.tpr(counts, 0.01), strict=True)):
        again = np.repeat(np.arange(600), counts[number])
        assert auc == pytest.approx(roc_auc_score(labels[again], scores[again]))
        assert tpr == pytest.approx(measure(labels[again], scores[again], 0.5).tpr_at_1_percent)


def test_each_source_keeps_its_size() -> None:
    members = [np.array([0, 2, 4]), np.array([1, 3]), np.array([5])]
    counts = intervals._drawn(np.random.default_rng(1), members, draws=50, rows=6)
    for here in members:
        assert (counts[:, here].sum(axis=1) == len(here)).all()
    assert len(np.unique(counts, axis=0)) > 10


def test_the_interval_is_that_of_the_normal_approximation() -> None:
    """Hanley & McNeil 1982 give the standard error of an area from its size and the numbers of rows."""
    labels, scores = drawn(1000, 0.2)
    sources = np.array(["one"] * 1000)
    found = bootstrap(labels, sources, {"base": scores}, draws=400, seed=1)["base"]
    area = float(roc_auc_score(labels, scores))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + 499 * (q1 - area**2) + 499 * (q2 - area**2)) / 500**2)
    assert found.auc is not None
    assert found.auc == pytest.approx((area - 1.96 * error, area + 1.96 * error), abs=0.006)
    assert found.mean_source_auc == found.auc == found.source_auc["one"]
    assert found.mean_source_auc_above_baseline is None


def test_a_better_model_is_above_the_baseline_draw_by_draw() -> None:
    labels, worse = drawn(400, 0.05)
    _, better = drawn(400, 0.4)
    sources = np.array(["one", "one", "two", "two"] * 100)
    found = bootstrap(labels, sources, {"base": worse, "model": better}, draws=200, seed=1)["model"]
    assert found.mean_source_auc_above_baseline is not None
    assert found.mean_source_auc_above_baseline[0] > 0.1


def test_a_source_of_one_label_has_no_interval_and_does_not_hurt_the_mean() -> None:
    labels, scores = drawn(200, 0.3)
    labels, scores = np.append(labels, [1, 1]), np.append(scores, [0.0, 0.0])
    sources = np.array(["both"] * 200 + ["toxic"] * 2)
    found = bootstrap(labels, sources, {"base": scores}, draws=60, seed=1)["base"]
    assert found.source_auc["toxic"] is None
    assert found.mean_source_auc == found.source_auc["both"]


def test_the_same_seed_gives_the_same_intervals() -> None:
    labels, scores = drawn(100, 0.2)
    sources = np.array(["one"] * 100)
    first, again, other = (bootstrap(labels, sources, {"base": scores}, 60, seed)["base"] for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("rows", "known"), [(120, False), (400, True)])
def test_a_rate_that_too_few_rows_can_show_has_no_interval(rows: int, known: bool) -> None:
    labels, scores = drawn(rows, 0.2)
    found = bootstrap(labels, np.array(["one"] * rows), {"base": scores}, draws=60, seed=1)["base"]
    assert (found.tpr_at_1_percent is not None) == known
