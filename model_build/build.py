"""Build a model directory from a checkpoint: export, fuse, quantize, optimize, assemble.

`build` is both the command and a Python function with the same options and defaults.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence  # noqa: TC003 - typer reads the types
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from model_build.errors import ModelBuildError
from model_build.manifest import check_thresholds
from model_build.model_card import read_about


def _comma_separated(text: str | tuple[str, ...]) -> tuple[str, ...]:
    """Split comma-separated names. Typer also passes the default, which is already a tuple."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if isinstance(text, str) else text


def build(
    source: Annotated[str, typer.Option(help="Folder with a transformers checkpoint, or hub id.")] = "",
    out: Annotated[Path, typer.Option(help="Model directory to write or replace.")] = Path("model"),
    *,
    revision: Annotated[str | None, typer.Option(help="Commit of the hub model; default: the newest one.")] = None,
    name: Annotated[str, typer.Option(help="Name in the model card; default: the folder or hub id.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "",
    toxic_labels: Annotated[
        Sequence[str],
        typer.Option(help="Labels that mean toxic, if not clear by name.", metavar="NAME,..", parser=_comma_separated),
    ] = (),
    threshold: Annotated[float, typer.Option(help='Score at or above which a message is "likely toxic".')] = 0.5,
    threshold_maybe: Annotated[
        float | None, typer.Option(help='Score at or above which it "may be toxic"; default: the threshold.')
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="Tokens per window, as in training; default: the model's maximum.", min=3)
    ] = None,
    about: Annotated[Path | None, typer.Option(help="JSON for the card: summary, data, training, not_for.")] = None,
    work: Annotated[Path | None, typer.Option(help="Keep the result of each step in this folder.")] = None,
    step: Annotated[
        Literal["export", "fuse", "quantize", "optimize", "assemble"] | None,
        typer.Option(help="Run only this step, on the earlier steps' results in --work."),
    ] = None,
) -> Path:
    """Build a model directory from a checkpoint. An existing one is replaced only if every step succeeds."""
    if not source and step in (None, "export"):
        raise ModelBuildError("no checkpoint to build from: pass --source")
    if step and not work:
        raise ModelBuildError(f"the step {step} needs the results of the other steps: pass their folder with --work")
    check_thresholds(threshold, threshold if threshold_maybe is None else threshold_maybe)
    description = read_about(about) if about else {}
    # Imported here, because torch, transformers and onnx take seconds to import.
    from model_build.assemble import assemble
    from model_build.export import export
    from model_build.graph import fuse, optimize, quantize
    from model_build.source import locate

    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="model_build-")))
        steps: dict[str, Callable[[], None]] = {
            "export": lambda: export(
                locate(source, revision, name, licence), folder / "exported", toxic_labels, window
            ),
            "fuse": lambda: fuse(folder / "exported", folder / "fused"),
            "quantize": lambda: quantize(folder / "fused", folder / "quantized"),
            "optimize": lambda: optimize(folder / "quantized", folder / "optimized"),
            "assemble": lambda: assemble(folder, out, threshold, threshold_maybe, window, description),
        }
        for run in [steps[step]] if step else steps.values():
            run()
    return out
