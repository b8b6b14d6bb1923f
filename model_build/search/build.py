"""A candidate comes in, the model directory that the steps make of it comes out.

Steps before the one that differs are not run again. A candidate whose model is the shipped one is an error: it would be
measured as a choice that makes no difference.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from model_build import manifest
from model_build.assemble import STEPS
from model_build.checkpoint import Checkpoint
from model_build.errors import ModelBuildError
from model_build.export import export
from model_build.fuse import fuse
from model_build.optimize import WEIGHTS, optimize
from model_build.quantize import quantize
from model_build.search.candidate import applied
from model_build.source import locate
from toxicity_bot.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_build.search.candidate import Candidate

LATER_STEPS = {"fused": fuse, "quantized": quantize, "optimized": optimize}
THRESHOLD = 0.5  # of the candidates' verdicts, which are compared with PyTorch's at the same one


class Builder:
    """Makes the shipped form once, in `work`, and candidates from what its steps left there."""

    def __init__(self, source: str, toxic: Sequence[str], work: Path) -> None:
        self._source, self._toxic, self._work = source, toxic, work
        self._shipped = work / "shipped"
        export(locate(source), self._shipped / "exported", toxic)
        _run("exported", STEPS[-1], self._shipped)

    def build(self, candidate: Candidate) -> Path:
        """Return the model directory of the candidate."""
        model = self._work / "models" / candidate.name
        with tempfile.TemporaryDirectory(dir=self._work) as own, applied(candidate.changes):
            self._make(candidate, Path(own))
            _put(Path(own) / candidate.serves, model, optimized=candidate.serves == STEPS[-1])
        if not candidate.is_control and _content(model) == _content(self._shipped / STEPS[-1]):
            raise ModelBuildError(f"{candidate.name} changes nothing: its model is, byte for byte, the one that ships")
        return model

    def _make(self, candidate: Candidate, own: Path) -> None:
        after = candidate.after
        if after is None:
            source = locate(self._source)
            if candidate.checkpoint:
                candidate.checkpoint(source.folder, own / "checkpoint")
                source = locate(str(own / "checkpoint"))
            after = "exported"
            export(source, own / after, self._toxic)
        else:
            shutil.copytree(self._shipped / after, own / after)
        if candidate.rewrite:
            graph = onnx.load(own / after / "model.onnx")
            candidate.rewrite(graph)
            for name in ("model.onnx", WEIGHTS):
                (own / after / name).unlink(missing_ok=True)
            onnx.save(graph, own / after / "model.onnx")
        _run(after, candidate.serves, own)


def _run(after: str, last: str, folder: Path) -> None:
    """Run the steps between these two in a folder that has what the first of them left."""
    for number in range(STEPS.index(after), STEPS.index(last)):
        LATER_STEPS[STEPS[number + 1]](folder / STEPS[number], folder / STEPS[number + 1])


def _put(made: Path, model: Path, *, optimized: bool) -> None:
    """Write a directory that the bot's classifier loads, however far from PyTorch its scores are."""
    model.mkdir(parents=True)
    for name in manifest.SERVED_FILES:
        if (made / name).is_file():
            shutil.copyfile(made / name, model / name)
    checkpoint = Checkpoint.read(made)
    fields = manifest.describe(checkpoint, model, THRESHOLD, checkpoint.reference, {})
    fields["session"]["graph_optimization"] = "ORT_DISABLE_ALL" if optimized else "ORT_ENABLE_ALL"
    fields["reference"]["tolerance"] = 1.0
    manifest.write(model, fields)
    Classifier(model, threads=1)


def _content(folder: Path) -> Mapping[str, bytes]:
    return {name: (folder / name).read_bytes() for name in manifest.SERVED_FILES if (folder / name).is_file()}
