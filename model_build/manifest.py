"""The JSON files of a build: `checkpoint.json` in the folder of each step and `model.json` in the model directory.

The export step writes `checkpoint.json` and every later step copies it, so only the export needs torch. `model.json` is
written last, because it has the checksums of the files that the bot loads and all measurements. The bot reads it in
`lambda/model_directory.py`.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from model_build.errors import ModelBuildError
from model_build.source import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE_NAME, CHECKPOINT_NAME = "model.json", "checkpoint.json"
WEIGHTS = "model.onnx.data"  # beside the graph of the last step
SERVED_FILES = ("model.onnx", WEIGHTS, "tokenizer.json")

# Fields of `checkpoint.json` that `model.json` does not copy: the bot does not need them, or they are written anew.
NOT_COPIED = ("layers", "heads", "hidden_size", "reference", "versions")

# Largest allowed difference of a reference text's toxicity from the recorded one. Rounding on another CPU changes a
# score by thousandths, another model by tenths.
REFERENCE_TOLERANCE = 0.02

# PyTorch scores these texts when a model is built. The served model must give the same scores, then and later.
REFERENCE_TEXTS = (
    "Thanks a lot, the deployment went smoothly.",
    "Could you look at my pull request before lunch?",
    "You are an idiot.",
    "This is the dumbest idea I have ever read, you fool.",
    "Shut up, nobody wants to hear your stupid opinion.",
    "I disagree, but let us try it and measure.",
    "What a load of rubbish, did you even think before writing that?",
    "The build is broken again and I hate this flaky test.",
    "You people are pathetic losers.",
    "Happy birthday! 🎉 See you all at the party tonight.",
    "Damn, that was a hell of a good talk.",
    "Get lost, you are useless and everybody knows it.",
)


def describe(
    checkpoint: Mapping[str, Any],
    folder: Path,
    threshold: float,
    reference: Mapping[str, float],
    measured: Mapping[str, Any],
    threshold_maybe: float | None = None,
    window: int | None = None,
) -> dict[str, Any]:
    """Return the fields of `model.json` for the model in `folder`.

    `checkpoint` is the result of `read_checkpoint`. `reference` maps the reference texts to the served model's scores.
    `threshold_maybe` defaults to the threshold, so that no text "may be toxic". `window` is the number of tokens per
    window and defaults to the model's maximum. Raises ModelBuildError if the thresholds are out of order, or if the
    window is longer than that.
    """
    threshold_maybe = threshold if threshold_maybe is None else threshold_maybe
    check_thresholds(threshold, threshold_maybe)
    check_window(window, checkpoint["max_length"])
    # If the weights are in a separate file, the build has already optimized the graph.
    optimized = (folder / WEIGHTS).is_file()
    return {
        **{name: value for name, value in checkpoint.items() if name not in NOT_COPIED},
        "temperature": 1.0,  # divides the logits; 1 keeps the checkpoint's calibration
        "threshold": threshold,
        "threshold_maybe": threshold_maybe,
        "window": window or checkpoint["max_length"],
        # Passed to onnxruntime: the name of a GraphOptimizationLevel, and session configuration entries.
        "session": {"graph_optimization": "ORT_DISABLE_ALL" if optimized else "ORT_ENABLE_ALL", "config": {}},
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
            for name in SERVED_FILES
            if (folder / name).is_file()
        },
        "reference": {"tolerance": REFERENCE_TOLERANCE, "scores": reference_scores(reference)},
        "versions": checkpoint["versions"] | {name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
        "measured": dict(measured),
    }


def check_thresholds(threshold: float, threshold_maybe: float) -> None:
    """Raise ModelBuildError if the thresholds are out of order."""
    if not 0 <= threshold_maybe <= threshold <= 1:
        raise ModelBuildError(
            f"--threshold is {threshold:g} and --threshold-maybe is {threshold_maybe:g}: both must be from 0 to 1, and "
            "the second must not be above the first"
        )


def check_window(window: int | None, max_length: int) -> None:
    """Raise ModelBuildError if the window is longer than the model's maximum."""
    if window and window > max_length:
        raise ModelBuildError(f"--window {window} is more than the {max_length} tokens that the model reads")


def reference_scores(toxicities: Mapping[str, float]) -> list[dict[str, Any]]:
    """Sort texts and scores, least certain first: the bot's self-test uses the first one and the most toxic one."""
    ordered = sorted(toxicities, key=lambda text: abs(toxicities[text] - 0.5))
    return [{"text": text, "toxicity": round(toxicities[text], 6)} for text in ordered]


def read(folder: Path) -> dict[str, Any]:
    """Read `model.json`. Raises ModelBuildError if the folder has no readable one."""
    return read_json(folder / FILE_NAME, "build a model into this folder first")


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Read `checkpoint.json`: the checkpoint's origin, shape and labels, and PyTorch's scores of the reference texts.

    Raises ModelBuildError if the step that writes into this folder has not been run.
    """
    return read_json(folder / CHECKPOINT_NAME, "run the steps in order, export, fuse, quantize, optimize, assemble")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file atomically. Its folder is created if needed."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file atomically. Its folder is created if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read the JSON object in a file. Raises ModelBuildError, with the remedy in its message, if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelBuildError(f"{path} is missing: {remedy}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelBuildError(f"{path} cannot be read as JSON ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise ModelBuildError(f"{path} is not a JSON object: {remedy}")
    return content
