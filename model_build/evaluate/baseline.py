"""The training rows of a labelled file come in, a classifier of character and word n-grams comes out.

What a transformer has to beat to be worth its size: no order of words, no meaning, trained in a minute on one core.
Hashed features and a logistic loss as in scikit-learn's user guide (6.2.3.6, out-of-core learning with a hashing
vectorizer). Kept in a folder under a checksum of its texts and settings, so that it is trained once.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

from model_build.errors import ModelBuildError
from model_build.evaluate.selection import folding_checksum
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.data import Row
    from model_build.evaluate.selection import Selection

NAME = "n-gram baseline"
THRESHOLD = 0.5
VECTORIZERS: tuple[dict[str, Any], ...] = (
    {"analyzer": "char_wb", "ngram_range": (3, 5), "n_features": 2**20},
    {"analyzer": "word", "ngram_range": (1, 2), "n_features": 2**18},
)
# Of 5e-7 to 1e-5 the strength with the best mean AUC over sources; seed and passes hardly matter.
CLASSIFIER: dict[str, Any] = {"loss": "log_loss", "alpha": 2e-6, "max_iter": 8, "tol": None, "random_state": 1}
LOWER_CASED = 0.5  # share of the training texts, lest lower case alone be a sign of toxicity
AT_ONCE = 4096  # texts whose features are in memory together


class Baseline:
    """A linear classifier of hashed n-grams; its threshold is one half."""

    def __init__(self, weights: npt.NDArray[np.float32], bias: float, checksum: str) -> None:
        self.checksum = checksum
        self.bytes = weights.nbytes
        self.threshold = THRESHOLD
        self._weights = weights
        self._bias = bias
        self._vectorizers = _vectorizers()

    def toxicities(self, texts: Sequence[str]) -> list[float]:
        """Return the probability that each folded text is toxic."""
        margins = [
            _features(self._vectorizers, texts[start : start + AT_ONCE]) @ self._weights + self._bias
            for start in range(0, len(texts), AT_ONCE)
        ]
        return [float(score) for score in 1 / (1 + np.exp(-np.concatenate(margins).astype(np.float64)))]


def trained(rows: Sequence[Row], tested: Selection, cache: Path) -> Baseline:
    """Return the classifier that was trained on these rows, of the split `train`, from `cache` where it is there.

    Raises ModelBuildError if they do not have both labels. Left out are those whose text, but for its case, is tested
    as well.
    """
    tested_texts = {text.casefold() for text in tested.originals}
    train = [(row.text, row.label) for row in rows if row.text.casefold() not in tested_texts]
    if {label for _, label in train} != {0, 1}:
        raise ModelBuildError(
            "the baseline is trained on rows whose split is train and that are not tested, and there are none of both "
            "labels: pass a file that has them with --baseline-data"
        )
    digest = hashlib.sha256(f"{VECTORIZERS} {CLASSIFIER} {LOWER_CASED} {folding_checksum()}".encode())
    for text, label in train:
        digest.update(f"{label} {text}\0".encode())
    checksum = digest.hexdigest()
    kept = cache / f"baseline-{checksum[:16]}.npz"
    if not kept.is_file():
        print(f"evaluate: training the baseline on {len(train):,} texts, about a minute ...", flush=True)
        weights, bias = _fitted(train)
        cache.mkdir(parents=True, exist_ok=True)
        beside = kept.with_suffix(".new.npz")
        np.savez(beside, weights=weights, bias=bias)
        beside.replace(kept)
    with np.load(kept) as arrays:
        return Baseline(arrays["weights"], float(arrays["bias"]), checksum)


def _fitted(train: Sequence[tuple[str, int]]) -> tuple[npt.NDArray[np.float32], float]:
    chance = random.Random(CLASSIFIER["random_state"])  # noqa: S311 - which texts lose their case, not a secret
    texts = [fold(text) for text, _ in train]
    texts = [text.lower() if chance.random() < LOWER_CASED else text for text in texts]
    vectorizers = _vectorizers()
    parts = [_features(vectorizers, texts[start : start + AT_ONCE]) for start in range(0, len(texts), AT_ONCE)]
    classifier = SGDClassifier(**CLASSIFIER).fit(scipy.sparse.vstack(parts), [label for _, label in train])
    return classifier.coef_[0].astype(np.float32), float(classifier.intercept_[0])


def _vectorizers() -> list[Any]:
    shared = {"lowercase": False, "alternate_sign": False, "norm": "l2", "dtype": np.float32}
    return [HashingVectorizer(**settings, **shared) for settings in VECTORIZERS]


def _features(vectorizers: Sequence[Any], texts: Sequence[str]) -> Any:
    return scipy.sparse.hstack([vectorizer.transform(texts) for vectorizer in vectorizers], format="csr")
