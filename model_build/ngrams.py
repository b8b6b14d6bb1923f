"""A linear model of character and word n-grams: the baseline of evaluations, and a teacher for distillation.

It knows no meaning and almost no word order, so a transformer must beat it to be worth its size. It uses hashed
features and a logistic loss, as in scikit-learn's user guide (6.2.3.6, out-of-core learning with a hashing vectorizer),
and trains in a minute on one core.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_union

from model_build.errors import ModelBuildError
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

VECTORIZERS: tuple[dict[str, Any], ...] = (
    {"analyzer": "char_wb", "ngram_range": (3, 5), "n_features": 2**20},
    {"analyzer": "word", "ngram_range": (1, 2), "n_features": 2**18},
)
# Of 5e-7 to 1e-5, this alpha has the best mean AUC over sources. Seed and max_iter hardly matter.
CLASSIFIER: dict[str, Any] = {"loss": "log_loss", "alpha": 2e-6, "max_iter": 8, "tol": None, "random_state": 1}
LOWER_CASED = 0.5  # share of training texts to lower-case, so that lower case is no sign of toxicity
SETTINGS = f"{VECTORIZERS} {CLASSIFIER} {LOWER_CASED}"  # everything that affects `fit` besides its arguments
# A teacher's probabilities must also be calibrated: of 2e-6 to 3e-5, this alpha has the lowest out-of-fold log loss,
# 0.59 on a third of data/train.jsonl.
TEACHER = CLASSIFIER | {"alpha": 3e-5, "average": True}
FOLDS = 5


def fit(texts: Sequence[str], labels: Sequence[int]) -> tuple[npt.NDArray[np.float32], float]:
    """Train a model on these texts; return its weights, (hashes,), and bias."""
    random_ = random.Random(CLASSIFIER["random_state"])  # noqa: S311 - which texts lose their case, not a secret
    folded = [fold(text) for text in texts]
    folded = [text.lower() if random_.random() < LOWER_CASED else text for text in folded]
    linear = SGDClassifier(**CLASSIFIER).fit(_features(folded), labels)
    return linear.coef_[0].astype(np.float32), float(linear.intercept_[0])


def probabilities(weights: npt.NDArray[np.float32], bias: float, folded: Sequence[str]) -> list[float]:
    """Return the toxicity of each folded text."""
    logits = _features(folded) @ weights + bias
    return [float(toxicity) for toxicity in 1 / (1 + np.exp(-logits.astype(np.float64)))]


def out_of_fold(texts: Sequence[str], labels: Sequence[int], seed: int) -> npt.NDArray[np.float32]:
    """Return the toxicity of each text, (texts,), from a model that was not trained on it.

    Five models are each trained on four fifths of the texts and score the rest. Otherwise the probabilities would
    mostly repeat the labels (stacked generalization: Wolpert, 1992, https://doi.org/10.1016/S0893-6080(05)80023-1).
    Texts that differ only in case share a fold. Raises ModelBuildError if there are fewer texts than folds, or if all
    texts of a label are in the same fold.
    """
    folded = [fold(text).lower() for text in texts]
    if len(set(folded)) < FOLDS:
        raise ModelBuildError(f"{len(set(folded))} different texts are too few for {FOLDS} folds")
    _, groups = np.unique(np.array(folded, dtype=object), return_inverse=True)
    folds = list(GroupKFold(FOLDS, shuffle=True, random_state=seed).split(folded, labels, groups))
    if any(len({labels[index] for index in training}) < 2 for training, _ in folds):
        raise ModelBuildError(f"too few different texts of one label for {FOLDS} folds: add some, or omit the teacher")
    model = SGDClassifier(**TEACHER)
    found = cross_val_predict(model, _features(folded), labels, cv=folds, method="predict_proba")
    return found[:, 1].astype(np.float32)  # type: ignore[no-any-return]


def _features(folded: Sequence[str]) -> Any:
    """Return a sparse matrix, (texts, hashes)."""
    shared = {"lowercase": False, "alternate_sign": False, "norm": "l2", "dtype": np.float32}
    return make_union(*(HashingVectorizer(**settings, **shared) for settings in VECTORIZERS)).transform(folded)
