"""Metrics of a few rows, computed by hand, and None if the rows cannot give a metric."""

import numpy as np
import pytest

from model_build.metrics import Metrics, auc, calibration_error, mean, measure, reliability, true_positive_rate

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.3, 0.8, 0.4, 0.7, 0.9, 0.95])


def test_metrics_at_the_threshold_and_across_thresholds() -> None:
    found = measure(LABELS, SCORES, threshold=0.7)
    assert found.sensitivity == 3 / 4, "a score of 0.7 itself counts as toxic"
    assert found.false_negative_rate == 1 / 4
    assert (found.specificity, found.false_positive_rate) == (3 / 4, 1 / 4)
    assert (found.precision, found.f1) == (3 / 4, 3 / 4)
    assert found.auc == pytest.approx(14 / 16), "0.8 outranks 0.4 and 0.7"
    assert found.tpr_at_1_percent is None, "one false positive in four is more than 1 %"


def test_true_positive_rate_at_a_false_positive_rate() -> None:
    labels = np.array([0] * 200 + [1] * 4)
    scores = np.concatenate([np.linspace(0, 0.5, 198), [0.8, 0.9], [0.95, 0.85, 0.6, 0.1]])
    found = measure(labels, scores, threshold=0.5)
    assert found.tpr_at_1_percent == 3 / 4, "two of 200 may be false positives, so 0.6 is found and 0.1 is not"
    assert found.tpr_at_1_permille is None
    equal, scores = np.array([0] * 100 + [1] * 2), np.concatenate([np.zeros(98), [0.9, 0.9], [0.9, 0.95]])
    assert true_positive_rate(equal, scores, 0.01) == 1 / 2, "rows with equal scores are found together or not at all"


def test_a_row_counts_as_often_as_its_weight() -> None:
    random = np.random.default_rng(7)
    labels = np.arange(600) % 2
    scores = np.clip(random.normal(0.4 + 0.2 * labels, 0.15), 0, 1).round(2)
    weights = random.integers(0, 4, size=600)
    repeated = np.repeat(np.arange(600), weights)
    assert auc(labels, scores, weights) == pytest.approx(auc(labels[repeated], scores[repeated]))
    assert true_positive_rate(labels, scores, 0.01, weights) == pytest.approx(
        true_positive_rate(labels[repeated], scores[repeated], 0.01)
    )
    assert auc(labels, scores, labels) is None, "no harmless row has any weight"


@pytest.mark.parametrize("label", [0, 1])
def test_rows_with_a_single_label_have_few_metrics(label: int) -> None:
    found = measure(np.array([label] * 3), np.array([0.2, 0.6, 0.7]), threshold=0.5)
    assert (found.auc, found.f1, found.average_precision, found.tpr_at_1_percent) == (None,) * 4
    assert (found.sensitivity is None) == (label == 0)
    assert (found.false_positive_rate is None) == (label == 1)


def test_a_score_equal_to_the_share_of_toxic_rows_has_no_calibration_error() -> None:
    scores = np.array([0.25] * 4 + [0.75] * 4)
    assert calibration_error(np.array([1, 0, 0, 0, 1, 1, 1, 0]), scores) == 0
    assert calibration_error(np.array([0, 0, 0, 0, 1, 1, 1, 1]), scores) == pytest.approx(0.25)
    highest = reliability(np.array([1]), np.array([1.0]))
    assert highest == [{"rows": 1, "score": 1.0, "toxic": 1.0}], "the highest score must be in a bin"


def test_the_mean_ignores_unknown_metrics() -> None:
    both = measure(LABELS, SCORES, threshold=0.5)
    toxic = measure(LABELS[4:], SCORES[4:], threshold=0.5)
    found = mean([both, toxic])
    assert found.auc == both.auc
    assert both.sensitivity is not None
    assert toxic.sensitivity is not None
    assert found.sensitivity == pytest.approx((both.sensitivity + toxic.sensitivity) / 2)
    assert set(found.as_json()) == set(Metrics.__dataclass_fields__)
