"""Labelled texts come in; how well the served model ranks them, beside PyTorch at full precision, comes out.

Reads JSON lines with `text` and `label` (1 is toxic), plain or .xz; where lines have a `split`, only those of "test".
No text is printed or kept.
"""

from __future__ import annotations

import json
import lzma
import random
from typing import TYPE_CHECKING, Any

import numpy as np

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.torch_model import TorchModel
    from toxicity_bot.classifier import Classifier

SEED = 20260401  # any will do, as long as two builds are compared on the same texts


def read_sample(path: Path, size: int) -> list[tuple[str, int]]:
    """Return at most `size` labelled texts, drawn at random but always the same."""
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    labelled = [(str(row["text"]), int(row["label"])) for row in rows if row.get("split", "test") == "test"]
    if {label for _, label in labelled} != {0, 1}:
        raise ModelBuildError(f"{path} has no test texts of both labels, 0 and 1: quality cannot be measured on it")
    return random.Random(SEED).sample(labelled, min(size, len(labelled)))  # noqa: S311 - a sample, not a secret


def compare(classifier: Classifier, model: TorchModel, sample: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return the fields of `model.json`; texts longer than one window are left out, since PyTorch would cut them."""
    kept = [(text, label) for text, label in sample if model.fits(text) and text.strip()]
    labels = np.array([label for _, label in kept])
    full = np.array(model.toxicities([text for text, _ in kept]))
    served = np.array([classifier.toxicity(text) for text, _ in kept])
    changed = (full >= classifier.threshold) != (served >= classifier.threshold)
    return {
        "texts": len(kept),
        "toxic": int(labels.sum()),
        "auc_pytorch": round(roc_auc(labels, full), 5),
        "auc_served": round(roc_auc(labels, served), 5),
        "changed_verdicts": round(float(changed.mean()), 5),
        "largest_difference": round(float(np.abs(full - served).max()), 5),
        "mean_difference": round(float(np.abs(full - served).mean()), 6),
    }


def roc_auc(labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> float:
    """Return the probability that a toxic text outranks another; equal scores count half."""
    _, positions, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[positions]
    positives = int((labels == 1).sum())
    negatives = len(labels) - positives
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))
