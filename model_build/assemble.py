"""Step 5: measure all steps and put together a model directory that the bot accepts.

It is assembled beside its place, checked there by the bot's own classifier and swapped in at the end: a build that
fails leaves the previous model as it was.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_build import manifest, model_card
from model_build.errors import ModelBuildError
from model_build.measurement import measure
from model_build.steps import FOLDERS, Checkpoint
from model_build.verify import check_scores, check_weights
from toxicity_bot.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Mapping


def assemble(
    work: Path,
    out: Path,
    threshold: float,
    threshold_maybe: float | None = None,
    window: int | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write the model directory; raises ModelBuildError if its scores are not those of the checkpoint.

    Texts of more tokens than `window` are scored in several windows. `about` describes data, training and purpose for
    the model card.
    """
    if out.exists() and any(out.iterdir()) and not (out / manifest.FILE_NAME).is_file():
        raise ModelBuildError(f"{out} holds other things than a model: pass an --out that is empty, new or a model's")
    last = work / FOLDERS[-1]
    checkpoint = Checkpoint.read(last)
    steps = [measure(work / folder) for folder in FOLDERS]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
        new = Path(beside) / "new"
        new.mkdir()
        for name in manifest.SERVED_FILES:
            shutil.copyfile(last / name, new / name)
        check_weights(new)
        served = _served_scores(checkpoint, new, threshold)
        difference = check_scores(served, checkpoint.reference)
        measured = {
            "steps": steps,
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
    """Score the reference texts with the bot's classifier, whose self-test accepts any score for now."""
    fields = manifest.describe(checkpoint, folder, threshold, checkpoint.reference, {})
    fields["reference"]["tolerance"] = 1.0
    manifest.write(folder, fields)
    served = Classifier(folder)
    return {text: served.toxicity(text) for text in checkpoint.reference}


def _swap(new: Path, out: Path, old: Path) -> None:
    """Rename twice on one file system, so that nothing is half copied; restore the old directory if that fails."""
    if out.exists():
        out.rename(old)
    try:
        new.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
