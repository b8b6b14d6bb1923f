"""Texts and labels come in, for each text the probability of toxic comes out, from a linear model of n-grams.

The model that judges a text has not seen it: five are trained, each on four fifths, so that what they say is more than
the labels again (stacked generalization: Wolpert, 1992, https://doi.org/10.1016/S0893-6080(05)80023-1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline, make_union

from model_build.errors import ModelBuildError
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

FOLDS = 5
FEATURES = 1 << 20  # of each kind of n-gram
REGULARIZATION = 3e-6
PASSES = 12


def out_of_fold(texts: Sequence[str], labels: Sequence[int], seed: int) -> npt.NDArray[np.float32]:
    """Return the probability of toxic for each text, (texts,); raises ModelBuildError for fewer texts than folds.

    Texts that are equal without regard to case are judged together, by a model that has seen none of them.
    """
    folded = [fold(text).lower() for text in texts]
    if len(set(folded)) < FOLDS:
        raise ModelBuildError(f"{len(set(folded))} different texts are too few for {FOLDS} folds")
    _, groups = np.unique(np.array(folded, dtype=object), return_inverse=True)
    features = make_pipeline(
        make_union(
            HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), n_features=FEATURES, alternate_sign=False),
            HashingVectorizer(analyzer="word", ngram_range=(1, 2), n_features=FEATURES, alternate_sign=False),
        ),
        TfidfTransformer(sublinear_tf=True),
    ).fit_transform(folded)
    judge = SGDClassifier(
        loss="log_loss", alpha=REGULARIZATION, max_iter=PASSES, tol=None, average=True, random_state=seed
    )
    folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    wanted = np.asarray(labels)
    found = cross_val_predict(judge, features, wanted, groups=groups, cv=folds, method="predict_proba")
    return found[:, 1].astype(np.float32)  # type: ignore[no-any-return]
