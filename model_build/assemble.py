"""Step 5: measure the result of each step and assemble a model directory.

The directory is assembled in a temporary folder, checked with the bot's own classifier, and moved into place at the
end. If a build fails, the previous model stays unchanged.
"""

from __future__ import annotations

import shutil
import tempfile
import timeit
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_build import manifest, model_card
from model_build.errors import ModelBuildError
from model_build.graph import FOLDERS, operators
from model_build.verify import check_scores, check_weights, score_references
from toxicity_bot.classifier import Classifier
from toxicity_bot.model_directory import ModelDirectory
from toxicity_bot.model_session import ModelSession

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKENS = (12, 32, 128)  # a remark, a message, a long message; includes special tokens
ROUNDS = 20  # the fastest counts, because the machine may be busy


def assemble(
    work: Path,
    out: Path,
    threshold: float,
    threshold_maybe: float | None = None,
    window: int | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write the model directory. Raises ModelBuildError if its scores differ from the checkpoint's.

    Texts with more tokens than `window` are scored in several windows. `about` describes data, training and purpose for
    the model card.
    """
    if out.exists() and any(out.iterdir()) and not (out / manifest.FILE_NAME).is_file():
        raise ModelBuildError(f"{out} is not empty and not a model directory: pass another --out")
    last = work / FOLDERS[-1]
    checkpoint = manifest.read_checkpoint(last)
    steps = [measure(work / folder) for folder in FOLDERS]
    served = scores(last)
    difference = check_scores(served, checkpoint["reference"])
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        for name in manifest.SERVED_FILES:
            shutil.copyfile(last / name, new / name)
        check_weights(new)
        measured = {
            "steps": steps,
            "bytes": sum((new / name).stat().st_size for name in manifest.SERVED_FILES),
            "largest_difference_to_pytorch": round(difference, 6),
        }
        fields = manifest.describe(checkpoint, new, threshold, served, measured, threshold_maybe, window)
        model_card.write(new, fields | ({"about": dict(about)} if about else {}))
        Classifier(new)  # loads it as the bot does and runs the self-test
        _swap(new, out, Path(temporary) / "old")
    print(f"assemble: wrote {out}, {measured['bytes']:,} bytes, largest difference {difference:.4f}", flush=True)


def scores(folder: Path) -> dict[str, float]:
    """Score the reference texts with the bot's classifier on the graph of a step."""
    checkpoint = manifest.read_checkpoint(folder)
    return score_references(folder, manifest.describe(checkpoint, folder, 0.5, checkpoint["reference"], {}))


def measure(folder: Path) -> dict[str, Any]:
    """Return and print the size of a step's graph, its speed on one thread and its largest difference from PyTorch."""
    expected, found = manifest.read_checkpoint(folder)["reference"], scores(folder)
    model = ModelDirectory.read(folder)
    session = ModelSession(model, threads=1)
    metrics: dict[str, Any] = {
        "name": folder.name,
        "nodes": operators(folder).total(),
        "bytes": sum(path.stat().st_size for path in folder.glob("model.onnx*")),
        "milliseconds": {
            tokens: _best_milliseconds(session, [model.eos_id] * (tokens - 2))  # a token that every vocabulary has
            for tokens in TOKENS
            if tokens <= model.window
        },
        "difference": max(abs(found[text] - expected[text]) for text in expected),
    }
    speed = ", ".join(f"{tokens} tokens in {taken} ms" for tokens, taken in metrics["milliseconds"].items())
    print(
        f"assemble: {folder.name}: {metrics['nodes']} operators, {metrics['bytes'] / 1e6:.1f} MB, {speed}, "
        f"largest difference from PyTorch {metrics['difference']:.6f}",
        flush=True,
    )
    return metrics


def _best_milliseconds(session: ModelSession, ids: list[int]) -> float:
    seconds = timeit.repeat(lambda: session.probabilities([ids]), repeat=ROUNDS, number=1)
    return round(min(seconds) * 1000, 2)


def _swap(new: Path, out: Path, old: Path) -> None:
    """Replace `out` by renaming, so that it is never incomplete. On failure, restore the old directory."""
    if out.exists():
        out.rename(old)
    try:
        new.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
