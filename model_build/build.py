"""Build a model directory from a checkpoint: export, fuse, quantize, optimize, assemble.

The command line, the tests and other tools call `build`.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_build.assemble import assemble
from model_build.errors import ModelBuildError
from model_build.export import export
from model_build.fuse import fuse
from model_build.optimize import optimize
from model_build.quantize import quantize
from model_build.source import locate

if TYPE_CHECKING:
    from collections.abc import Sequence


def build(
    source: str,
    out: Path,
    *,
    revision: str | None = None,
    name: str = "",
    licence: str = "",
    toxic_labels: Sequence[str] = (),
    threshold: float = 0.5,
    threshold_maybe: float | None = None,
    window: int | None = None,
    about: Path | None = None,
    work: Path | None = None,
) -> Path:
    """Build the model directory `out` from a checkpoint, a folder or a hub id; return `out`.

    `work` keeps the result of each step. Raises ModelBuildError and leaves an existing `out` as it was if a step fails.
    """
    with ExitStack() as stack:
        if work is None:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="model_build-")))
        story = _story(about)
        export(locate(source, revision, name, licence), work / "exported", toxic_labels)
        fuse(work / "exported", work / "fused")
        quantize(work / "fused", work / "quantized")
        optimize(work / "quantized", work / "optimized")
        assemble(work, out, threshold, threshold_maybe, window, story)
    return out


def _story(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        story = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelBuildError(f"{path} cannot be read as JSON ({error}): pass another --about") from error
    if not isinstance(story, dict):
        raise ModelBuildError(f"{path} holds no JSON object: pass another --about")
    return story
