"""Verify that a model directory is what was built: checksums, the range of its weights, and its reference scores.

With the checkpoint that it was built from, compare it with PyTorch, and measure both on labelled messages.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from model_build import data, manifest, metrics, model_card
from model_build.errors import ModelBuildError
from model_build.source import locate, sha256
from toxicity_bot.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from model_build.torch_model import TorchModel

# Largest difference of toxicity between the served model and PyTorch at full precision, on one text: quantization
# costs up to 0.05 where a model is unsure, a wrong tokenizer or inverted labels cost several tenths.
LARGEST_DIFFERENCE = 0.1

# CPUs with AVX2 but without VNNI, which is all that Lambda promises, add two products of an unsigned activation and a
# signed weight in 16 bits, and cut off what is more: 2 * 255 * 127 > 32,767 >= 2 * 255 * 64.
LARGEST_WEIGHT = 64

# Products of 8-bit numbers as onnxruntime runs them: with a quantization of their own, or sharing one.
PRODUCTS = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")

SEED = 20260401  # any number will do: two builds must be compared on the same messages


def verify(folder: Path) -> Classifier:
    """Check checksums, weights and reference scores; return the classifier.

    Raises ModelBuildError, or ModelError as the bot itself would, if one is wrong.
    """
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
    classifier = Classifier(folder)
    recorded = {score["text"]: score["toxicity"] for score in fields["reference"]["scores"]}
    scores = {text: classifier.assess(text).toxicity for text in recorded}
    difference = check_scores(scores, recorded, fields["reference"]["tolerance"])
    print(f"verify: {len(recorded)} reference scores agree within {difference:.6f}", flush=True)
    return classifier


def score_references(folder: Path, fields: dict[str, Any], threads: int | None = None) -> dict[str, float]:
    """Write `fields` as the `model.json` of a folder, and score the reference texts as the bot does.

    The recorded scores may be those of another form of the model: the self-test accepts any.
    """
    reference = fields["reference"]
    manifest.write_json(folder / manifest.FILE_NAME, fields | {"reference": reference | {"tolerance": 1.0}})
    classifier = Classifier(folder, threads)
    return {row["text"]: classifier.assess(row["text"]).toxicity for row in reference["scores"]}


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


def compare_with_pytorch(classifier: Classifier, folder: Path, source: str) -> TorchModel:
    """Compare the reference scores; return the PyTorch model.

    Raises ModelBuildError if they differ too much, or if the model was built from another checkpoint.
    """
    from model_build.torch_model import TorchModel  # only this comparison needs torch

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
    difference = check_scores({text: classifier.assess(text).toxicity for text in texts}, expected)
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
    labels = np.array([row.label for row in rows])
    full = np.array(model.toxicities([row.text for row in rows]))
    served = np.array([classifier.assess(row.text).toxicity for row in rows])
    # Both labels occur, so neither is None.
    auc_full, auc_served = (metrics.auc(labels, scores) or 0.0 for scores in (full, served))
    changed = (full >= classifier.threshold) != (served >= classifier.threshold)
    found = {
        "data": labelled.name,
        "texts": len(rows),
        "toxic": int(labels.sum()),
        "auc_pytorch": round(auc_full, 5),
        "auc_served": round(auc_served, 5),
        "changed_verdicts": round(float(changed.mean()), 5),
        "largest_difference": round(float(np.abs(full - served).max()), 5),
        "mean_difference": round(float(np.abs(full - served).mean()), 6),
    }
    fields = manifest.read(folder)
    fields["measured"]["quality"] = found
    model_card.write(folder, fields)
    print(f"verify: {', '.join(f'{name} {value}' for name, value in found.items())}", flush=True)
