"""A served model and its checkpoint come in; how far apart their scores are comes out, and is recorded.

What `verify` does beyond checksums where torch and the checkpoint are at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_build import manifest, model_card, quality
from model_build.errors import ModelBuildError
from model_build.source import locate
from model_build.torch_model import TorchModel
from model_build.verify import check_difference

if TYPE_CHECKING:
    from pathlib import Path

    from toxicity_bot.classifier import Classifier


def compare_scores(classifier: Classifier, folder: Path, source: str, labelled: Path | None, sample: int) -> None:
    """Compare the reference texts and, given labelled ones, measure quality and record it in the model directory."""
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
    difference = check_difference({text: classifier.toxicity(text) for text in texts}, expected)
    print(f"verify: largest difference to PyTorch {difference:.6f}", flush=True)
    if labelled is None:
        return
    rows = quality.read_sample(labelled, sample)
    print(f"verify: scoring {len(rows):,} texts of {labelled.name} twice ...", flush=True)
    found = {"data": labelled.name} | quality.compare(classifier, model, rows)
    fields["measured"]["quality"] = found
    manifest.write(folder, fields)
    model_card.write(folder)
    print(f"verify: {', '.join(f'{name} {value}' for name, value in found.items())}", flush=True)
