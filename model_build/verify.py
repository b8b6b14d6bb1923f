"""Verify that a model directory is what was built: checksums, the range of its weights, and its reference scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from model_build import manifest
from model_build.errors import ModelBuildError
from model_build.source import sha256
from model_build.steps import PRODUCTS
from toxicity_bot.classifier import Classifier
from toxicity_bot.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

# Largest difference of toxicity between the served model and PyTorch at full precision, on one text: quantization
# costs up to 0.05 where a model is unsure, a wrong tokenizer or inverted labels cost several tenths.
LARGEST_DIFFERENCE = 0.1

# CPUs with AVX2 but without VNNI, which is all that Lambda promises, add two products of an unsigned activation and a
# signed weight in 16 bits, and cut off what is more: 2 * 255 * 127 > 32,767 >= 2 * 255 * 64.
LARGEST_WEIGHT = 64


def verify(folder: Path) -> Classifier:
    """Check checksums, weights and reference scores; return the classifier. Raises ModelBuildError if one is wrong."""
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
    print(f"verify: {check_weights(folder)} matrices have 7-bit weights", flush=True)
    try:
        classifier = Classifier(folder)
    except ModelError as error:
        raise ModelBuildError(str(error)) from error
    recorded = {score["text"]: score["toxicity"] for score in fields["reference"]["scores"]}
    scores = {text: classifier.toxicity(text) for text in recorded}
    difference = check_scores(scores, recorded, fields["reference"]["tolerance"])
    print(f"verify: {len(recorded)} reference scores agree within {difference:.6f}", flush=True)
    return classifier


def check_weights(folder: Path) -> int:
    """Return the number of 8-bit matrices; raises ModelBuildError if products of one can overflow without VNNI."""
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    names = {node.input[1] for node in graph.node if node.op_type in PRODUCTS}
    weights = [tensor for tensor in graph.initializer if tensor.name in names]
    for tensor in weights:
        largest = int(np.abs(_values(tensor, folder).astype(np.int32)).max())
        if largest > LARGEST_WEIGHT:
            raise ModelBuildError(
                f"{tensor.name} has the weight {largest}, more than 7 bits: 8-bit products overflow on CPUs without "
                "VNNI; quantize it with a reduced range"
            )
    if not weights:
        raise ModelBuildError(f"{folder / 'model.onnx'} multiplies no 8-bit matrix: quantize it first")
    return len(weights)


def _values(tensor: onnx.TensorProto, folder: Path) -> npt.NDArray[np.int8]:
    """Read 8-bit weights, inside or outside the graph; onnx itself refuses a file of weights that is a link."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)  # type: ignore[no-any-return]
    place = {entry.key: entry.value for entry in tensor.external_data}
    return np.fromfile(folder / place["location"], np.int8, int(place["length"]), offset=int(place["offset"]))


def check_scores(
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
