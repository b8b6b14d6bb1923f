"""The command line: without the name of a step, all of them are run, from a checkpoint to a model directory.

python -m model_build --source owner/name --revision SHA --out model
python -m model_build verify --model model
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import typer

from model_build.errors import ModelBuildError
from model_build.train import cli
from toxicity_bot.errors import ModelError

# The steps import torch, transformers and onnx, seconds of work, so each is imported where it is run.


def main(arguments: list[str]) -> int:
    """Run one command; return the process's exit status."""
    if arguments and (command := TRAINING.get(arguments[0])):
        return _train(command, arguments[1:])
    parser = _parser()
    # `python -m model_build --source ..` means `build --source ..`.
    wants_build = bool(arguments) and arguments[0].startswith("--") and arguments[0] != "--help"
    options = parser.parse_args(["build", *arguments] if wants_build else arguments)
    try:
        options.run(options)
    except (ModelBuildError, ModelError) as error:
        print(f"model_build: {error}", file=sys.stderr)
        return 1
    return 0


TRAINING = {"pretrain": cli.pretrain, "finetune": cli.finetune, "distill": cli.distill, "convert": cli.convert}


def _train(command: Any, arguments: list[str]) -> int:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app(arguments)
    except ModelBuildError as error:
        print(f"model_build: {error}", file=sys.stderr)
        return 1
    return 0


def _build(options: argparse.Namespace) -> None:
    if options.work:
        _all_steps(options)
        return
    with tempfile.TemporaryDirectory(prefix="model_build-") as folder:
        options.work = Path(folder)
        _all_steps(options)


def _all_steps(options: argparse.Namespace) -> None:
    _export(options)
    _fuse(options)
    _quantize(options)
    _optimize(options)
    _assemble(options)


def _export(options: argparse.Namespace) -> None:
    from model_build.export import export
    from model_build.source import locate

    source = locate(options.source, options.revision, options.name, options.licence)
    export(source, options.work / "exported", options.toxic_labels)


def _fuse(options: argparse.Namespace) -> None:
    from model_build.fuse import fuse

    fuse(options.work / "exported", options.work / "fused")


def _quantize(options: argparse.Namespace) -> None:
    from model_build.quantize import quantize

    quantize(options.work / "fused", options.work / "quantized")


def _optimize(options: argparse.Namespace) -> None:
    from model_build.optimize import optimize

    optimize(options.work / "quantized", options.work / "optimized")


def _assemble(options: argparse.Namespace) -> None:
    from model_build.assemble import assemble

    assemble(
        options.work, options.out, options.threshold, options.threshold_maybe, options.window, _story(options.about)
    )


def _verify(options: argparse.Namespace) -> None:
    from model_build.verify import verify

    if options.quality and not options.source:
        raise ModelBuildError("--quality compares with PyTorch: pass the checkpoint with --source as well")
    classifier = verify(options.model)
    if options.source:
        from model_build.against_pytorch import compare_scores

        compare_scores(classifier, options.model, options.source, options.quality, options.sample)


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


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parser() -> argparse.ArgumentParser:
    source = argparse.ArgumentParser(add_help=False)
    source.add_argument("--source", required=True, help="a folder with a transformers checkpoint, or a hub id")
    source.add_argument(
        "--revision", help="the commit of the hub model; without it, the current one, which is recorded"
    )
    source.add_argument("--name", default="", help="what the model is called in its card, instead of folder or id")
    source.add_argument("--licence", default="", help="the licence of the weights")
    source.add_argument("--toxic-labels", type=_names, default=[], help="where the labels' names do not tell: NAME,..")
    work = argparse.ArgumentParser(add_help=False)
    work.add_argument("--work", type=Path, required=True, help="the folder with what each step left")
    out = argparse.ArgumentParser(add_help=False)
    out.add_argument("--out", type=Path, default=Path("model"), help="the model directory to write or replace")
    out.add_argument("--threshold", type=float, default=0.5, help="toxicity from which a text is called toxic")
    out.add_argument("--threshold-maybe", type=float, help="from which one may be toxic; without it, none may be")
    out.add_argument(
        "--window", type=int, help="tokens read at once, near to what it was trained on; longer texts take several"
    )
    out.add_argument("--about", type=Path, help="JSON for the card: summary, data, training, not_for")

    parser = argparse.ArgumentParser(prog="python -m model_build", description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(required=True, metavar="step")
    build = steps.add_parser("build", parents=[source, out], help="all steps; the default")
    build.add_argument("--work", type=Path, help="keep what each step leaves in this folder")
    build.set_defaults(run=_build)
    steps.add_parser("export", parents=[source, work], help="checkpoint to ONNX").set_defaults(run=_export)
    steps.add_parser("fuse", parents=[work], help="join operators").set_defaults(run=_fuse)
    steps.add_parser("quantize", parents=[work], help="8-bit products").set_defaults(run=_quantize)
    steps.add_parser("optimize", parents=[work], help="as it is served").set_defaults(run=_optimize)
    steps.add_parser("assemble", parents=[work, out], help="check, describe, put in place").set_defaults(run=_assemble)
    verify = steps.add_parser("verify", help="checksums and reference scores of a model directory")
    verify.add_argument("--model", type=Path, default=Path("model"), help="the model directory")
    verify.add_argument("--source", help="the checkpoint that it was built from: compares with PyTorch as well")
    verify.add_argument("--quality", type=Path, help="labelled JSON lines (.xz or plain): measured and recorded")
    verify.add_argument("--sample", type=int, default=3000, help="texts drawn from the file; 3,000 take minutes")
    verify.set_defaults(run=_verify)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
