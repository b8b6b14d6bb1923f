"""A linear model of character and word n-grams: the baseline of evaluations, and a teacher.

It knows no meaning and nearly no word order, so a transformer has to beat it to be worth its size. Hashed features and
a logistic loss, as in scikit-learn's user guide (6.2.3.6, out-of-core learning with a hashing vectorizer), are trained
in a minute on one core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_union

if TYPE_CHECKING:
    from collections.abc import Sequence

VECTORIZERS: tuple[dict[str, Any], ...] = (
    {"analyzer": "char_wb", "ngram_range": (3, 5), "n_features": 2**20},
    {"analyzer": "word", "ngram_range": (1, 2), "n_features": 2**18},
)
# alpha has the best mean AUC over sources, of 5e-7 to 1e-5; seed and passes hardly matter.
CLASSIFIER: dict[str, Any] = {"loss": "log_loss", "alpha": 2e-6, "max_iter": 8, "tol": None, "random_state": 1}


def features(texts: Sequence[str]) -> Any:
    """Return the sparse features of folded texts, (texts, hashes)."""
    shared = {"lowercase": False, "alternate_sign": False, "norm": "l2", "dtype": np.float32}
    return make_union(*(HashingVectorizer(**settings, **shared) for settings in VECTORIZERS)).transform(texts)


def classifier() -> SGDClassifier:
    """Return the model to train."""
    return SGDClassifier(**CLASSIFIER)
