"""`model.json`: the one place that says which fields it has. `lambda/model_directory.py` reads what serving needs.

Written last, since it holds the checksums of every file that the bot loads and all that was measured.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from model_build.errors import ModelBuildError
from model_build.optimize import WEIGHTS
from model_build.source import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_build.checkpoint import Checkpoint

FILE_NAME = "model.json"
SERVED_FILES = ("model.onnx", WEIGHTS, "tokenizer.json")

# How far the reference text's toxicity may be from the recorded one at start. Another CPU rounds otherwise in the last
# digits, which moves a score by thousandths; another model moves it by tenths.
REFERENCE_TOLERANCE = 0.02


def describe(
    checkpoint: Checkpoint,
    folder: Path,
    threshold: float,
    reference: Mapping[str, float],
    measured: Mapping[str, Any],
    threshold_maybe: float | None = None,
    window: int | None = None,
) -> dict[str, Any]:
    """Return the fields for the model in `folder`; `reference` holds the scores of the model as it is served.

    Without a `threshold_maybe` it is the threshold, and no text is one that may be toxic; raises ModelBuildError
    unless the two are in order. `window` is how many tokens are read at once; without one, all that the model can read.
    """
    threshold_maybe = threshold if threshold_maybe is None else threshold_maybe
    if not 0 <= threshold_maybe <= threshold <= 1:
        raise ModelBuildError(
            f"a text is toxic from {threshold:g} and may be from {threshold_maybe:g}: both are from 0 to 1, and the "
            "second is not above the first"
        )
    # A graph that was optimized when it was built has its weights beside it, and nothing left to optimize at start.
    optimized = (folder / WEIGHTS).is_file()
    return {
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "licence": checkpoint.licence,
        "parameters": checkpoint.parameters,
        "labels": checkpoint.labels,
        "toxic_labels": checkpoint.toxic_labels,
        "activation": checkpoint.activation,
        "temperature": 1.0,  # divides the logits; 1 leaves the checkpoint's own calibration
        "threshold": threshold,
        "threshold_maybe": threshold_maybe,
        "max_length": checkpoint.max_length,
        "window": window or checkpoint.max_length,
        "special_token_ids": checkpoint.special_token_ids,
        "input_names": checkpoint.input_names,
        # Handed to onnxruntime as they are: a name of its GraphOptimizationLevel and entries of its configuration.
        "session": {"graph_optimization": "ORT_DISABLE_ALL" if optimized else "ORT_ENABLE_ALL", "config": {}},
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
            for name in SERVED_FILES
            if (folder / name).is_file()
        },
        "reference": {
            "tolerance": REFERENCE_TOLERANCE,
            "scores": reference_scores(reference),
        },
        "versions": checkpoint.versions | {name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
        "measured": dict(measured),
    }


def reference_scores(toxicities: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the reference texts and their scores, first the one that the model is least sure of.

    The bot's self-test uses that one, since it moves most.
    """
    ordered = sorted(toxicities, key=lambda text: abs(toxicities[text] - 0.5))
    return [{"text": text, "toxicity": round(toxicities[text], 6)} for text in ordered]


def write(folder: Path, fields: Mapping[str, Any]) -> None:
    """Write the file so that a reader sees the old one or the new one, never a part."""
    beside = folder / f".{FILE_NAME}.new"
    beside.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(folder / FILE_NAME)


def read(folder: Path) -> dict[str, Any]:
    """Raises ModelBuildError if there is no model in the folder."""
    try:
        fields: dict[str, Any] = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelBuildError(f"{folder} has no {FILE_NAME}: build a model into it first") from error
    except ValueError as error:
        raise ModelBuildError(f"{folder / FILE_NAME} is not JSON ({error}): build the model again") from error
    return fields
