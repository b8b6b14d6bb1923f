"""The bootstrap: samples are stratified and paired, and intervals are as wide as theory predicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from model_build.evaluate.evaluation import bootstrap, evaluate, intervals, resample
from tests.model_build.evaluate.conftest import evaluation_set, fake_model

RANDOM = np.random.default_rng(7)
AUC, RATE, MEAN, FIRST = range(4)  # indices of the metrics of a sample. Sources begin at FIRST.


def sample(rows: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return equal numbers of toxic and harmless labels, and scores with many ties."""
    labels = np.arange(rows) % 2
    return labels, np.clip(RANDOM.normal(0.4 + distance * labels, 0.15), 0, 1).round(2)


def test_a_bootstrap_sample_keeps_the_size_of_each_source() -> None:
    strata = [np.array([0, 2, 4]), np.array([1, 3]), np.array([5])]
    random = np.random.default_rng(1)
    draws = np.array([resample(strata, random) for _ in range(50)])
    for rows in strata:
        assert (draws[:, rows].sum(axis=1) == len(rows)).all()
    assert len(np.unique(draws, axis=0)) > 10


def test_the_interval_matches_the_normal_approximation() -> None:
    """Hanley & McNeil 1982 give the standard error of an AUC as a function of the AUC and the row counts."""
    labels, scores = sample(1000, 0.2)
    (draws,) = bootstrap(labels, np.array(["one"] * 1000), {"base": scores}, draws=400, seed=1)
    area = float(roc_auc_score(labels, scores))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + 499 * (q1 - area**2) + 499 * (q2 - area**2)) / 500**2)
    found = intervals(draws)
    assert found[AUC] == pytest.approx((area - 1.96 * error, area + 1.96 * error), abs=0.006)
    assert found[MEAN] == found[AUC] == found[FIRST]


def test_a_better_model_beats_the_baseline_in_each_bootstrap_sample() -> None:
    labels, worse = sample(400, 0.05)
    _, better = sample(400, 0.4)
    sources = np.array(["one", "one", "two", "two"] * 100)
    scores = {"base": worse, "model": better, "same": worse}
    base, model, same = bootstrap(labels, sources, scores, draws=100, seed=1)
    above = intervals(model - base)[MEAN]
    assert above
    assert above[0] > 0.1
    assert np.array_equal(same, base, equal_nan=True), "the samples must be the same for all models"


def test_a_source_is_far_below_the_baseline_if_the_differences_interval_is_below_zero(tmp_path: Path) -> None:
    """Scores of the source "far" are shuffled. Those of "near" and "one_label" are close to the baseline's."""
    labels, good = sample(300, 0.4)
    labels[200:] = 1
    bad = np.clip(good + RANDOM.normal(0, 0.01, 300), 0, 1)
    bad[:100] = good[RANDOM.permutation(100)]
    data = evaluation_set([f"text {row}" for row in range(300)], labels, np.repeat(["far", "near", "one_label"], 100))

    def model(name: str, scores: Any) -> Any:
        known = dict(zip(data.texts, scores, strict=True))
        return fake_model(name, lambda texts: [known.get(text, 0.0) for text in texts], checksum=name)

    report = evaluate(data, [model("base", good), model("model", bad)], tmp_path, draws=100, seed=1, threads=1).report
    assert report["models"]["model"]["far_below_baseline"] == ["far"]
    assert "far" in report["models"]["model"]["below_baseline"]
    assert report["models"]["base"]["far_below_baseline"] == report["models"]["base"]["below_baseline"] == []
    assert report["models"]["base"]["mean"]["auc_above_baseline_interval"] is None


def test_a_source_with_one_label_has_no_interval_and_does_not_change_the_mean() -> None:
    labels, scores = sample(200, 0.3)
    labels, scores = np.append(labels, [1, 1]), np.append(scores, [0.0, 0.0])
    sources = np.array(["both"] * 200 + ["toxic"] * 2)
    found = intervals(bootstrap(labels, sources, {"base": scores}, draws=60, seed=1)[0])
    assert found[FIRST + 1] is None
    assert found[MEAN] == found[FIRST]


@pytest.mark.parametrize(("rows", "known"), [(120, False), (400, True)])
def test_a_rate_with_too_few_rows_has_no_interval(rows: int, known: bool) -> None:
    labels, scores = sample(rows, 0.2)
    first, again, other = (
        intervals(bootstrap(labels, np.array(["one"] * rows), {"base": scores}, 60, seed)[0]) for seed in (1, 1, 2)
    )
    assert (first[RATE] is not None) == known
    assert first == again != other, "the seed decides"
