"""Describe, write and read `model.json`; the bot reads the fields that it needs with `lambda/model_directory.py`.

It is written last, since it holds the checksums of the files that the bot loads and everything that was measured.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from model_build.errors import ModelBuildError
from model_build.source import sha256
from model_build.steps import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_build.steps import Checkpoint

FILE_NAME = "model.json"
SERVED_FILES = ("model.onnx", WEIGHTS, "tokenizer.json")

# What the build needs to know about the checkpoint and the bot does not, or what is written anew.
LEFT_OUT = ("layers", "heads", "hidden_size", "reference", "versions")

# Largest difference of a reference text's toxicity from the recorded one. Another CPU rounds differently, which moves
# a score by thousandths; another model moves it by tenths.
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
    """Return the fields for the model in `folder`; `reference` holds the scores of the model as the bot serves it.

    `threshold_maybe` is the threshold by default: no text "may be toxic" then. `window` is the number of tokens that
    are read at once, by default all that the model can read. Raises ModelBuildError if the thresholds are out of order.
    """
    threshold_maybe = threshold if threshold_maybe is None else threshold_maybe
    if not 0 <= threshold_maybe <= threshold <= 1:
        raise ModelBuildError(
            f"--threshold is {threshold:g} and --threshold-maybe {threshold_maybe:g}: both must be from 0 to 1, and "
            "the second not above the first"
        )
    # A graph whose weights stand beside it was optimized by the build; nothing is left to optimize at start.
    optimized = (folder / WEIGHTS).is_file()
    return {
        **{name: value for name, value in asdict(checkpoint).items() if name not in LEFT_OUT},
        "temperature": 1.0,  # divides the logits; 1 keeps the checkpoint's own calibration
        "threshold": threshold,
        "threshold_maybe": threshold_maybe,
        "window": window or checkpoint.max_length,
        # Passed to onnxruntime: a name of its GraphOptimizationLevel and entries of its configuration.
        "session": {"graph_optimization": "ORT_DISABLE_ALL" if optimized else "ORT_ENABLE_ALL", "config": {}},
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
            for name in SERVED_FILES
            if (folder / name).is_file()
        },
        "reference": {"tolerance": REFERENCE_TOLERANCE, "scores": reference_scores(reference)},
        "versions": checkpoint.versions | {name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
        "measured": dict(measured),
    }


def reference_scores(toxicities: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the texts and scores, the least certain first: those move most, and the bot's self-test uses them."""
    ordered = sorted(toxicities, key=lambda text: abs(toxicities[text] - 0.5))
    return [{"text": text, "toxicity": round(toxicities[text], 6)} for text in ordered]


def write(folder: Path, fields: Mapping[str, Any]) -> None:
    """Replace the file in one step, so that no reader sees a part of it."""
    beside = folder / f".{FILE_NAME}.new"
    beside.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(folder / FILE_NAME)


def read(folder: Path) -> dict[str, Any]:
    """Return the fields; raises ModelBuildError if the folder has no readable `model.json`."""
    try:
        fields: dict[str, Any] = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelBuildError(f"{folder} has no {FILE_NAME}: build a model into it first") from error
    except ValueError as error:
        raise ModelBuildError(f"{folder / FILE_NAME} is not JSON ({error}): build the model again") from error
    return fields
