"""Labels, scores and sources of the dev split come in, what a training run prints of itself comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_build.quality import roc_auc

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


def source_aucs(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], sources: Sequence[str]
) -> dict[str, float]:
    """Return the ROC AUC of each source that has both labels, and their mean; `auc` is that of all rows together."""
    names = np.array(sources)
    found: dict[str, float] = {}
    for source in sorted(set(sources)):
        here = names == source
        if len(np.unique(labels[here])) > 1:
            found[f"auc_{source}"] = roc_auc(labels[here], scores[here])
    mean = float(np.mean(list(found.values()))) if found else float("nan")
    return {"auc": roc_auc(labels, scores), "auc_mean_of_sources": mean, **found}
