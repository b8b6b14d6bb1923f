"""The commands `evaluate` and `calibrate` of `python -m model_build`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from model_build.errors import ModelBuildError

# Imports of scikit-learn and onnxruntime take seconds, so each command imports its modules when it is called.

REPORT, CACHE = Path("docs/evaluation"), Path("build/evaluate")
Data = typer.Option(help="Labelled messages: JSON lines or CSV, plain or .xz. Repeatable.")
CORES = len(os.sched_getaffinity(0))


class NamedFolder(NamedTuple):
    """A model's name in the report, and its folder."""

    name: str
    folder: Path


def named_folder(text: str) -> NamedFolder:
    """Parse NAME=FOLDER."""
    name, _, folder = text.partition("=")
    if not (name and folder):
        raise typer.BadParameter(f"{text} is not NAME=FOLDER")
    return NamedFolder(name, Path(folder))


NAMED: dict[str, Any] = {"parser": named_folder, "metavar": "NAME=FOLDER"}
Chat = Annotated[
    Path | None,
    typer.Option(
        help="Chat messages, one per line, plain or .xz: the texts of rows that have only text_sha256. A sample of "
        "them also serves as unlabelled chat."
    ),
]
SkipBadRows = Annotated[
    bool, typer.Option("--skip-bad-rows", help="Skip bad rows instead of stopping; print how many, and the first ten.")
]
Threads = Annotated[int, typer.Option(min=1, help="Threads per model.")]


def evaluate(
    models: Annotated[
        list[NamedFolder] | None,
        typer.Argument(help="Model directories or transformers checkpoints.", **NAMED),
    ] = None,
    data: Annotated[list[Path] | None, Data] = None,
    chat: Chat = None,
    split: Annotated[str, typer.Option(help="Split to score.")] = "test",
    out: Annotated[Path, typer.Option(help="Folder for report.md, report.json and the plots.")] = REPORT,
    record: Annotated[
        NamedFolder | None,
        typer.Option(help="Copy this model's metrics from the report into its card.", **NAMED),
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=1, help="Bootstrap draws for the confidence intervals.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 1,
    cache: Annotated[Path, typer.Option(help="Folder for cached scores and the baseline.")] = CACHE,
    threads: Threads = CORES,
    *,
    bf16: Annotated[bool, typer.Option("--bf16", help="Score checkpoints in bfloat16, which is faster.")] = False,
    skip_bad_rows: SkipBadRows = False,
) -> None:
    """Compare models with an n-gram baseline, and write a report.

    Without --data, nothing is scored: report.md is rendered again from the report.json in --out. --record uses the same
    file.
    """
    load = os.getloadavg()[0]

    from model_build.data import read
    from model_build.evaluate import evaluation, evaluation_set, report_files
    from model_build.evaluate.models import BASELINE, model_in, train_baseline

    if data and models:
        # Check all arguments first, because scoring takes minutes.
        names = [model.name for model in models]
        if len({*names, BASELINE}) <= len(names):
            raise ModelBuildError(f"the model names are {', '.join(names)}: pass a different name for each")
        loaded = [model_in(model.folder, model.name, threads, bf16=bf16) for model in models]
        rows = read(*data, chat=chat, skip_bad_rows=skip_bad_rows)
        texts = evaluation_set.load(rows, split, chat)
        baseline = train_baseline(rows.of_split("train"), texts, cache)
        found = evaluation.evaluate(texts, [baseline, *loaded], cache, bootstrap, seed, threads)
        command = " ".join(["python -m model_build", *map(_without_folders, sys.argv[1:])])
        found.report.update(load=round(load, 2), command=command)
        report_files.write(found, out)
    elif data or models:
        raise typer.BadParameter("pass both models, as NAME=FOLDER, and --data; or neither, to use an existing report")
    else:
        report_files.write_page(out)
    if record:
        report_files.record(record.folder, record.name, out)


def calibrate(
    data: Annotated[list[Path], Data],
    model: Annotated[Path, typer.Option(help="Model directory to update in place.")] = Path("model"),
    chat: Chat = None,
    split: Annotated[str, typer.Option(help="Split to calibrate on; do not use it for training or reports.")] = "dev",
    work_sources: Annotated[
        str,
        typer.Option(help="Sources similar to the bot's chat, separated by commas. Those not in the data are ignored."),
    ] = "written,ubuntu_irc,gh_incivility",
    false_positive_rate: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="Maximum share of harmless work messages that reach the threshold."),
    ] = 0.01,
    chat_rate: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="With --chat: maximum share of chat messages that reach the threshold."),
    ] = 0.003,
    likely_precision: Annotated[
        float,
        typer.Option(min=0, max=1, help="If chat messages are labelled: minimum toxic share of those called likely."),
    ] = 0.6,
    threads: Threads = CORES,
    *,
    skip_bad_rows: SkipBadRows = False,
) -> None:
    """Set the temperature and thresholds of a model directory."""
    from model_build.data import read
    from model_build.evaluate import calibration, evaluation_set

    sources = [source.strip() for source in work_sources.split(",") if source.strip()]
    texts = evaluation_set.load(read(*data, chat=chat, skip_bad_rows=skip_bad_rows), split, chat)
    calibration.calibrate(model, texts, sources, false_positive_rate, threads, chat_rate, likely_precision)


def _without_folders(argument: str) -> str:
    """Shorten an absolute path to its last part, to keep local folder names out of the report."""
    return re.sub(r"(^|=)/(?:[^/]+/)*([^/]+)/?$", r"\1\2", argument)
