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
    checkpoint: Checkpoint, folder: Path, threshold: float, reference: Mapping[str, float], measured: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields for the model in `folder`; `reference` holds the scores of the model as it is served."""
    # A graph that was optimized when it was built has its weights beside it, and nothing left to optimize at start.
    optimized = (folder / WEIGHTS).is_file()
    # The bot's self-test uses the first text: the one that the model is least sure of, since it moves most.
    ordered = sorted(reference, key=lambda text: abs(reference[text] - 0.5))
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
        "max_length": checkpoint.max_length,
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
            "scores": [{"text": text, "toxicity": round(reference[text], 6)} for text in ordered],
        },
        "versions": checkpoint.versions | {name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
        "measured": dict(measured),
    }


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
