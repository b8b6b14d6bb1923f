"""The n-gram baseline: a linear classifier of character and word n-grams, trained in a minute on one core.

It knows no meaning and nearly no word order, so a transformer has to beat it to be worth its size. Hashed features and
a logistic loss, as in scikit-learn's user guide (6.2.3.6, out-of-core learning with a hashing vectorizer).
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_union

from model_build.errors import ModelBuildError
from model_build.evaluate.evaluation_set import folding_checksum
from model_build.evaluate.models import Model, Scorer
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.data import Row
    from model_build.evaluate.evaluation_set import EvaluationSet

NAME = "n-gram baseline"
THRESHOLD = 0.5
VECTORIZERS: tuple[dict[str, Any], ...] = (
    {"analyzer": "char_wb", "ngram_range": (3, 5), "n_features": 2**20},
    {"analyzer": "word", "ngram_range": (1, 2), "n_features": 2**18},
)
# alpha has the best mean AUC over sources, of 5e-7 to 1e-5; seed and passes hardly matter.
CLASSIFIER: dict[str, Any] = {"loss": "log_loss", "alpha": 2e-6, "max_iter": 8, "tol": None, "random_state": 1}
LOWER_CASED = 0.5  # share of the training texts, so that lower case alone is no sign of toxicity
CHUNK = 4096  # texts of training that are turned into features at once


def train(rows: Sequence[Row], tested: EvaluationSet, cache: Path) -> Model:
    """Return the baseline trained on `rows`, or read it from `cache` if it was trained on the same rows before.

    Rows whose text is tested as well, in any case, are left out. Raises ModelBuildError if the others lack a label.
    """
    tested_texts = {text.casefold() for text in tested.originals}
    examples = [(row.text, row.label) for row in rows if row.text.casefold() not in tested_texts]
    if {label for _, label in examples} != {0, 1}:
        raise ModelBuildError(
            "the baseline needs rows of both labels whose split is train and that are not tested: pass a file that has "
            "them with --baseline-data"
        )
    digest = hashlib.sha256(f"{VECTORIZERS} {CLASSIFIER} {LOWER_CASED} {folding_checksum()}".encode())
    for text, label in examples:
        digest.update(f"{label} {text}\0".encode())
    checksum = digest.hexdigest()
    file = cache / f"baseline-{checksum[:16]}.npz"
    if not file.is_file():
        print(f"evaluate: training the baseline on {len(examples):,} texts, about a minute ...", flush=True)
        weights, bias = _fit(examples)
        cache.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new.npz")
        np.savez(new, weights=weights, bias=bias)
        new.replace(file)
    with np.load(file) as arrays:
        weights, bias = arrays["weights"], float(arrays["bias"])
    kind = "character and word n-grams, a linear classifier"
    return Model(NAME, kind, checksum, weights.nbytes, THRESHOLD, THRESHOLD, lambda: _scorer(weights, bias))


def _scorer(weights: npt.NDArray[np.float32], bias: float) -> Scorer:
    features = _features()

    def score(texts: Sequence[str]) -> Sequence[float]:
        logits = features.transform(texts) @ weights + bias
        return [float(toxicity) for toxicity in 1 / (1 + np.exp(-logits.astype(np.float64)))]

    return score


def _fit(examples: Sequence[tuple[str, int]]) -> tuple[npt.NDArray[np.float32], float]:
    chance = random.Random(CLASSIFIER["random_state"])  # noqa: S311 - which texts lose their case, not a secret
    texts = [fold(text) for text, _ in examples]
    texts = [text.lower() if chance.random() < LOWER_CASED else text for text in texts]
    features = _features()
    chunks = [features.transform(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK)]
    classifier = SGDClassifier(**CLASSIFIER).fit(scipy.sparse.vstack(chunks), [label for _, label in examples])
    return classifier.coef_[0].astype(np.float32), float(classifier.intercept_[0])


def _features() -> Any:
    """Return what makes of texts their features, (texts, hashes)."""
    shared = {"lowercase": False, "alternate_sign": False, "norm": "l2", "dtype": np.float32}
    return make_union(*(HashingVectorizer(**settings, **shared) for settings in VECTORIZERS))
