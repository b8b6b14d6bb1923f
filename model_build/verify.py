"""Verify a model directory: checksums, the range of the weights, and reference scores.

Given the original checkpoint, compare the model with PyTorch, and measure the quality of both on labelled messages.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from model_build import data, manifest, metrics, model_card
from model_build.errors import ModelBuildError
from model_build.source import FOLDER_REVISION, locate, sha256
from toxicity_bot.classifier import Classifier
from toxicity_bot.model_directory import ModelDirectory

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from model_build.torch_model import TorchModel

# Largest allowed difference of a text's toxicity between the served model and PyTorch at full precision. Quantization
# causes up to 0.09 where a model is unsure, a wrong tokenizer or inverted labels cause several tenths.
MAX_TOXICITY_DIFFERENCE = 0.1

# Lambda guarantees AVX2 but not VNNI. Without VNNI, a CPU adds two products of an unsigned activation and a signed
# weight in 16 bits with saturation: 2 * 255 * 127 > 32,767 >= 2 * 255 * 64.
MAX_WEIGHT = 64

# onnxruntime's 8-bit matrix products: with their own quantization of the input, or with a shared one.
PRODUCTS = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")

SEED = 20260401  # fixed, so that builds are compared on the same messages


def verify(folder: Path) -> Classifier:
    """Verify checksums, weights and reference scores; return the classifier.

    Raises ModelBuildError if a check fails, or ModelError if the bot cannot load the model.
    """
    fields = manifest.read(folder)
    ModelDirectory.read(folder)  # raises if a field or a file is missing
    for name, facts in fields["files"].items():
        if (found := sha256(folder / name)) != facts["sha256"]:
            raise ModelBuildError(
                f"{folder / name} has the checksum {found[:12]}.., but model.json has {facts['sha256'][:12]}..: "
                "the file was changed or damaged after the build; build the model again"
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

    The self-test is disabled by a tolerance of 1, because the recorded scores may be from another form of the model.
    """
    reference = fields["reference"]
    manifest.write_json(folder / manifest.FILE_NAME, fields | {"reference": reference | {"tolerance": 1.0}})
    classifier = Classifier(folder, threads)
    return {row["text"]: classifier.assess(row["text"]).toxicity for row in reference["scores"]}


def check_weights(folder: Path) -> int:
    """Return the number of 8-bit matrices. Raises ModelBuildError if a product can overflow on a CPU without VNNI."""
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    names = {node.input[1] for node in graph.node if node.op_type in PRODUCTS}
    weights = [tensor for tensor in graph.initializer if tensor.name in names]
    for tensor in weights:
        largest = int(np.abs(_values(tensor, folder).astype(np.int32)).max())
        if largest > MAX_WEIGHT:
            raise ModelBuildError(
                f"{tensor.name} has the weight {largest}, more than 7 bits: 8-bit products overflow on CPUs without "
                "VNNI; quantize it with a reduced range"
            )
    if not weights:
        raise ModelBuildError(f"{folder / 'model.onnx'} multiplies no 8-bit matrix: quantize it first")
    return len(weights)


def _values(tensor: onnx.TensorProto, folder: Path) -> npt.NDArray[np.int8]:
    """Read 8-bit weights, inside or outside the graph. The onnx package refuses a weights file that is a link."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)  # type: ignore[no-any-return]
    place = {entry.key: entry.value for entry in tensor.external_data}
    return np.fromfile(folder / place["location"], np.int8, int(place["length"]), offset=int(place["offset"]))


def check_scores(
    found: Mapping[str, float], expected: Mapping[str, float], tolerance: float = MAX_TOXICITY_DIFFERENCE
) -> float:
    """Return the largest difference. Raises ModelBuildError if it exceeds the tolerance."""
    worst = max(expected, key=lambda text: abs(found[text] - expected[text]))
    difference = abs(found[worst] - expected[worst])
    if not difference <= tolerance:
        raise ModelBuildError(
            f"the reference text {worst!r} scores {found[worst]:.4f}, but {expected[worst]:.4f} was expected: "
            f"more than {tolerance} apart; do not serve this model"
        )
    return difference


def compare_with_pytorch(classifier: Classifier, folder: Path, source: str) -> TorchModel:
    """Compare the reference scores with PyTorch's; return the PyTorch model.

    Raises ModelBuildError if they differ too much, or if the model was built from another checkpoint.
    """
    from model_build.torch_model import TorchModel  # torch is needed only here

    fields = manifest.read(folder)
    is_commit = not Path(source).is_dir() and not fields["revision"].startswith(FOLDER_REVISION)
    checkpoint = locate(source, fields["revision"] if is_commit else None)
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
    """Measure both models on rows of split `test`; record the result in the model directory.

    At most `sample` rows are drawn, always the same ones. Messages with nothing to judge are left out, and those
    longer than one window, because PyTorch cannot score them.
    """
    found_rows = data.read(labelled, skip_bad_rows=skip_bad_rows)
    for line in found_rows.describe_skipped():
        print(line, flush=True)
    rows = found_rows.of_split("test")
    rows = random.Random(SEED).sample(rows, min(sample, len(rows)))  # noqa: S311 - a sample, not a secret
    rows = [row for row in rows if data.scored_form(row.text) and model.fits(row.text)]
    if {row.label for row in rows} != {0, 1}:
        raise ModelBuildError(f"{labelled} needs test rows of both labels, 0 and 1, to measure the quality")
    print(f"verify: scoring {len(rows):,} texts of {labelled.name} with both models ...", flush=True)
    labels = np.array([row.label for row in rows])
    full = np.array(model.toxicities([row.text for row in rows]))
    served = np.array([classifier.assess(row.text).toxicity for row in rows])
    called_full, called_served = (scores >= classifier.threshold for scores in (full, served))
    found: dict[str, Any] = {"data": labelled.name, "texts": len(rows), "toxic": int(labels.sum())}
    for form, scores, called in (("pytorch", full, called_full), ("served", served, called_served)):
        # Both labels occur, so neither the AUC nor a mean is unknown.
        found[f"auc_{form}"] = round(metrics.auc(labels, scores) or 0.0, 5)
        found[f"sensitivity_{form}"] = round(float(called[labels == 1].mean()), 5)
        found[f"specificity_{form}"] = round(1 - float(called[labels == 0].mean()), 5)
    found |= {
        "changed_verdicts": round(float((called_full != called_served).mean()), 5),
        "largest_difference": round(float(np.abs(full - served).max()), 5),
        "mean_difference": round(float(np.abs(full - served).mean()), 6),
    }
    fields = manifest.read(folder)
    fields["measured"]["quality"] = found
    model_card.write(folder, fields)
    print(f"verify: {', '.join(f'{name} {value}' for name, value in found.items())}", flush=True)
