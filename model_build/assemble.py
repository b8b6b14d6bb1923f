"""Step 5: a work folder with all steps done comes in, a model directory that the bot accepts comes out.

It is put together beside its place, verified there by the bot's own classifier, and only then swapped in: a build
that fails leaves what was there before.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_build import manifest, model_card, stage
from model_build.checkpoint import Checkpoint
from model_build.errors import ModelBuildError
from model_build.verify import check_difference
from toxicity_bot.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Mapping

STEPS = ("exported", "fused", "quantized", "optimized")


def assemble(
    work: Path,
    out: Path,
    threshold: float,
    threshold_maybe: float | None = None,
    window: int | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write the model directory; raises ModelBuildError if its scores are not those of the checkpoint.

    A text of more tokens than the window, or than the model can read, is served in several. `about` is what
    the model card tells people of data, training and purpose.
    """
    if out.exists() and any(out.iterdir()) and not (out / manifest.FILE_NAME).is_file():
        raise ModelBuildError(f"{out} holds other things than a model: pass an --out that is empty, new or a model's")
    checkpoint = Checkpoint.read(work / STEPS[-1])
    stages = [stage.measure(work / step) for step in STEPS]
    print(stage.table(stages), flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
        new = Path(beside) / "new"
        new.mkdir()
        for name in manifest.SERVED_FILES:
            shutil.copyfile(work / STEPS[-1] / name, new / name)
        served = _served_scores(checkpoint, new, threshold)
        difference = check_difference(served, checkpoint.reference)
        measured = {
            "steps": [one.as_json() for one in stages],
            "bytes": sum((new / name).stat().st_size for name in manifest.SERVED_FILES),
            "largest_difference_to_pytorch": round(difference, 6),
        }
        fields = manifest.describe(checkpoint, new, threshold, served, measured, threshold_maybe, window)
        manifest.write(new, fields | ({"about": dict(about)} if about else {}))
        model_card.write(new)
        Classifier(new)  # as the bot will load it, self-test included
        _swap(new, out, Path(beside) / "old")
    print(f"assemble: {out} is in place, {measured['bytes']:,} bytes, largest difference {difference:.4f}", flush=True)


def _served_scores(checkpoint: Checkpoint, folder: Path, threshold: float) -> Mapping[str, float]:
    """Score the reference texts as the bot will; until that is done, PyTorch's scores stand in for the self-test."""
    fields = manifest.describe(checkpoint, folder, threshold, checkpoint.reference, {})
    fields["reference"]["tolerance"] = 1.0
    manifest.write(folder, fields)
    served = Classifier(folder)
    return {text: served.toxicity(text) for text in checkpoint.reference}


def _swap(new: Path, out: Path, old: Path) -> None:
    """Two renames on one file system: nothing is ever half copied, and the old directory returns if one fails."""
    if out.exists():
        out.rename(old)
    try:
        new.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
