"""The JSON files of a build: `checkpoint.json` in the folder of each step and `model.json` in the model directory.

The export writes `checkpoint.json` beside its graph and every step hands it on, so that only the export needs torch.
`model.json` has the checksums of the files that the bot loads and all that was measured, so it is written last. The bot
reads the fields that it needs with `lambda/model_directory.py`.
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

# What the build needs to know about the checkpoint and the bot does not, or what is written anew.
LEFT_OUT = ("layers", "heads", "hidden_size", "reference", "versions")

# Largest difference of a reference text's toxicity from the recorded one. Another CPU rounds differently, which moves
# a score by thousandths; another model moves it by tenths.
REFERENCE_TOLERANCE = 0.02

# PyTorch scores these when a model is built; the served model must score them alike, at build time and later.
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
    """Return the fields for the model in `folder`; `reference` holds the scores of the model as the bot serves it.

    `checkpoint` is what `read_checkpoint` returns. `threshold_maybe` is the threshold by default: no text "may be
    toxic" then. `window` is the number of tokens that are read at once, by default all that the model can read. Raises
    ModelBuildError if the thresholds are out of order.
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
        **{name: value for name, value in checkpoint.items() if name not in LEFT_OUT},
        "temperature": 1.0,  # divides the logits; 1 keeps the checkpoint's own calibration
        "threshold": threshold,
        "threshold_maybe": threshold_maybe,
        "window": window or checkpoint["max_length"],
        # Passed to onnxruntime: a name of its GraphOptimizationLevel and entries of its configuration.
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


def reference_scores(toxicities: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the texts and scores, the least certain first: those move most, and the bot's self-test uses them."""
    ordered = sorted(toxicities, key=lambda text: abs(toxicities[text] - 0.5))
    return [{"text": text, "toxicity": round(toxicities[text], 6)} for text in ordered]


def read(folder: Path) -> dict[str, Any]:
    """Return the fields of `model.json`; raises ModelBuildError if the folder has none that can be read."""
    return read_json(folder / FILE_NAME, "build a model into this folder first")


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Return the export's facts about the checkpoint: origin, shape, labels, and PyTorch's scores of the references.

    Raises ModelBuildError if the step that writes into this folder has not been run.
    """
    return read_json(folder / CHECKPOINT_NAME, "run the steps in order, export, fuse, quantize, optimize, assemble")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a file and its folder; no reader sees a part of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Return the object in a file; raises ModelBuildError, which ends with the remedy, if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelBuildError(f"{path} is missing: {remedy}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelBuildError(f"{path} cannot be read as JSON ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise ModelBuildError(f"{path} holds no JSON object: {remedy}")
    return content
