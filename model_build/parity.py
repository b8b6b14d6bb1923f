"""Compare a served model with its PyTorch checkpoint: reference scores and, given labelled messages, quality.

Needs torch and the checkpoint that the model was built from. No message is printed or kept.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from model_build import data, manifest, metrics, model_card
from model_build.errors import ModelBuildError
from model_build.source import locate
from model_build.torch_model import TorchModel
from model_build.verify import check_scores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from toxicity_bot.classifier import Classifier

SEED = 20260401  # any number will do: two builds must be compared on the same messages


def compare_with_pytorch(classifier: Classifier, folder: Path, source: str) -> TorchModel:
    """Compare the reference scores; return the PyTorch model.

    Raises ModelBuildError if they differ too much, or if the model was built from another checkpoint.
    """
    fields = manifest.read(folder)
    checkpoint = locate(source)
    if checkpoint.revision != fields["revision"]:
        raise ModelBuildError(
            f"{folder} was built from revision {fields['revision']}, but {source} is at {checkpoint.revision}: "
            "pass the checkpoint that it was built from"
        )
    model = TorchModel(checkpoint, fields["toxic_labels"], fields["temperature"], fields["window"])
    texts = [row["text"] for row in fields["reference"]["scores"]]
    expected = dict(zip(texts, model.toxicities(texts), strict=True))
    difference = check_scores({text: classifier.toxicity(text) for text in texts}, expected)
    print(f"verify: largest difference from PyTorch {difference:.6f}", flush=True)
    return model


def record_quality(
    classifier: Classifier, model: TorchModel, folder: Path, labelled: Path, sample: int, *, skip_bad_rows: bool = False
) -> None:
    """Measure both models on rows of the split "test", or of a file without splits; record it in the directory.

    At most `sample` rows are drawn, the same ones every time. Messages longer than one window are left out, since
    PyTorch cannot score them.
    """
    rows = [row for row in data.read(labelled, skip_bad_rows=skip_bad_rows).rows if row.split in ("test", "")]
    rows = random.Random(SEED).sample(rows, min(sample, len(rows)))  # noqa: S311 - a sample, not a secret
    rows = [row for row in rows if model.fits(row.text)]
    if {row.label for row in rows} != {0, 1}:
        raise ModelBuildError(f"{labelled} has no test rows of both labels, 0 and 1: quality cannot be measured on it")
    print(f"verify: scoring {len(rows):,} texts of {labelled.name} twice ...", flush=True)
    found = {"data": labelled.name} | _quality(classifier, model, rows)
    fields = manifest.read(folder)
    fields["measured"]["quality"] = found
    manifest.write(folder, fields)
    model_card.write(folder)
    print(f"verify: {', '.join(f'{name} {value}' for name, value in found.items())}", flush=True)


def _quality(classifier: Classifier, model: TorchModel, rows: Sequence[data.Row]) -> dict[str, Any]:
    labels = np.array([row.label for row in rows])
    full = np.array(model.toxicities([row.text for row in rows]))
    served = np.array([classifier.toxicity(row.text) for row in rows])
    # Both labels occur, so neither is None.
    auc_full, auc_served = (metrics.auc(labels, scores) or 0.0 for scores in (full, served))
    changed = (full >= classifier.threshold) != (served >= classifier.threshold)
    return {
        "texts": len(rows),
        "toxic": int(labels.sum()),
        "auc_pytorch": round(auc_full, 5),
        "auc_served": round(auc_served, 5),
        "changed_verdicts": round(float(changed.mean()), 5),
        "largest_difference": round(float(np.abs(full - served).max()), 5),
        "mean_difference": round(float(np.abs(full - served).mean()), 6),
    }
