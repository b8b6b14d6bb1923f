"""The command line, `python -m model_build COMMAND`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_build.benchmark import benchmark
from model_build.build import build
from model_build.errors import ModelBuildError
from model_build.evaluate.cli import SkipBadRows, calibrate, evaluate
from model_build.throughput import throughput
from model_build.train.cli import align, convert, distill, finetune, pretrain

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    help="Build, train and evaluate the model that the bot serves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def verify(
    model: Annotated[Path, typer.Option(help="The model directory.")] = Path("model"),
    source: Annotated[str, typer.Option(help="The checkpoint it was built from, for a comparison with PyTorch.")] = "",
    quality: Annotated[
        Path | None, typer.Option(help="Labelled messages to measure and record the quality on; needs --source.")
    ] = None,
    sample: Annotated[int, typer.Option(help="Number of messages to sample; 3,000 take minutes.", min=1)] = 3000,
    *,
    skip_bad_rows: SkipBadRows = False,
) -> None:
    """Verify the checksums, weights and reference scores of a model directory."""
    if quality and not source:
        raise ModelBuildError("--quality compares the model with PyTorch: also pass the checkpoint with --source")
    from model_build import verify as checks

    classifier = checks.verify(model)
    if source:
        module = checks.compare_with_pytorch(classifier, model, source)
        if quality:
            checks.record_quality(classifier, module, model, quality, sample, skip_bad_rows=skip_bad_rows)


COMMANDS = (build, verify, pretrain, align, finetune, distill, convert, evaluate, calibrate, benchmark, throughput)
for command in COMMANDS:
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit, with status 2 for wrong usage. Raises BotError if the command fails."""
    app(arguments, prog_name="python -m model_build")


if __name__ == "__main__":
    main()
