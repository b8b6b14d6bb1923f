"""A model directory comes in; whether it is what was built, and scores as it did, comes out.

Checksums find what sizes do not. With the checkpoint at hand its scores are compared with PyTorch's as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_build import manifest
from model_build.errors import ModelBuildError
from model_build.source import sha256
from toxicity_bot.classifier import Classifier
from toxicity_bot.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Of toxicity between the served model and PyTorch at full precision, on one text: int8 costs up to 0.05 where a model
# is unsure, a wrong tokenizer or a label turned round costs several tenths.
LARGEST_DIFFERENCE = 0.1


def verify(folder: Path) -> Classifier:
    """Check every checksum and every reference score; return the classifier, ready to use."""
    fields = manifest.read(folder)
    for name, facts in fields["files"].items():
        if not (folder / name).is_file():
            raise ModelBuildError(f"{folder / name} is missing: build the model again")
        if (found := sha256(folder / name)) != facts["sha256"]:
            raise ModelBuildError(
                f"{folder / name} has the checksum {found[:12]}.. where model.json records {facts['sha256'][:12]}..: "
                "it was changed or damaged after the build; build the model again"
            )
    print(f"verify: checksums of {', '.join(fields['files'])} agree", flush=True)
    try:
        classifier = Classifier(folder)
    except ModelError as error:
        raise ModelBuildError(str(error)) from error
    recorded = {score["text"]: score["toxicity"] for score in fields["reference"]["scores"]}
    found_scores = {text: classifier.toxicity(text) for text in recorded}
    difference = check_difference(found_scores, recorded, fields["reference"]["tolerance"])
    print(f"verify: {len(recorded)} reference scores agree within {difference:.6f}", flush=True)
    return classifier


def check_difference(
    found: Mapping[str, float], expected: Mapping[str, float], tolerance: float = LARGEST_DIFFERENCE
) -> float:
    """Return the largest difference; raises ModelBuildError, naming the reference text, if it is over the tolerance."""
    worst = max(expected, key=lambda text: abs(found[text] - expected[text]))
    difference = abs(found[worst] - expected[worst])
    if not difference <= tolerance:
        raise ModelBuildError(
            f"the reference text {worst!r} scores {found[worst]:.4f} where {expected[worst]:.4f} was expected, "
            f"more than {tolerance} apart: do not serve this model"
        )
    return difference
