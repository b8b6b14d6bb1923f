"""What a training run says of its rows: how well it tells those of each dev source apart, and which are bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_build.metrics import auc
from model_build.train.run import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

MOST_NAMED = 10  # bad rows, by their lines


def source_aucs(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], sources: Sequence[str]
) -> dict[str, float]:
    """Return the ROC AUC of each source that has both labels, and their mean; `auc` is that of all rows together."""
    names = np.array(sources)
    found: dict[str, float] = {}
    for source in sorted(set(sources)):
        here = names == source
        if len(np.unique(labels[here])) > 1:
            found[f"auc_{source}"] = auc(labels[here], scores[here]) or float("nan")
    mean = float(np.mean(list(found.values()))) if found else float("nan")
    return {"auc": auc(labels, scores) or float("nan"), "auc_mean_of_sources": mean, **found}


def tell_of_bad_rows(bad: Mapping[int, str]) -> None:
    """Print the lines that were skipped and why, the first of them, and how many they are."""
    for line, reason in list(bad.items())[:MOST_NAMED]:
        say(f"line {line} skipped: {reason}")
    if bad:
        say(f"{len(bad):,} bad rows skipped.")
