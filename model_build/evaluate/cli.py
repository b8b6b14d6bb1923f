"""The commands `evaluate` and `calibrate` of `python -m model_build`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from model_build.errors import ModelBuildError

# The commands import scikit-learn and onnxruntime, which takes seconds, so they import where they run.

REPORT, CACHE = Path("docs/evaluation"), Path("build/evaluate")
Data = typer.Option(help="Labelled messages: JSON lines or CSV, plain or .xz. May be given several times.")
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
        help="Chat, a message per line, plain or .xz: the texts of rows that have only text_sha256; evaluate also "
        "measures how many of a sample would be called toxic."
    ),
]
Threads = Annotated[int, typer.Option(min=1, help="Threads that a model may use.")]


def evaluate(
    models: Annotated[
        list[NamedFolder] | None,
        typer.Argument(help="Model directories of the bot or transformers checkpoints.", **NAMED),
    ] = None,
    data: Annotated[list[Path] | None, Data] = None,
    chat: Chat = None,
    split: Annotated[str, typer.Option(help="The split whose messages are scored.")] = "test",
    out: Annotated[Path, typer.Option(help="Folder of report.md, report.json and the plots.")] = REPORT,
    record: Annotated[
        NamedFolder | None,
        typer.Option(help="Copy this model's metrics from the report into its card.", **NAMED),
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=1, help="Bootstrap draws for the intervals.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    cache: Annotated[Path, typer.Option(help="Folder where scores and the baseline are kept.")] = CACHE,
    threads: Threads = CORES,
) -> None:
    """Evaluate models side by side with an n-gram baseline, and write a report.

    Without --data nothing is scored: the report in --out is rendered again, and --record uses it.
    """
    load = os.getloadavg()[0]
    os.environ["HF_HUB_OFFLINE"] = "1"  # all inputs are local folders: no library needs the hub

    from model_build.data import read
    from model_build.evaluate import evaluation, evaluation_set, report_files
    from model_build.evaluate.models import BASELINE, model_in, train_baseline

    if data and models:
        # Every argument is checked before anything is scored, which takes minutes.
        names = [model.name for model in models]
        if len({*names, BASELINE}) <= len(names):
            raise ModelBuildError(f"the models are named {', '.join(names)}: pass a different name for each")
        loaded = [model_in(model.folder, model.name, threads) for model in models]
        texts = evaluation_set.load(data, split, chat)
        baseline = train_baseline(read(*data, chat=chat).of_split("train"), texts, cache)
        found = evaluation.evaluate(texts, [baseline, *loaded], cache, bootstrap, seed, threads)
        command = " ".join(["python -m model_build", *map(_without_folders, sys.argv[1:])])
        found.report.update(load=round(load, 2), command=command)
        report_files.write(found, out)
    elif data or models:
        raise typer.BadParameter("pass both models, as NAME=FOLDER, and --data; or neither, for a report that exists")
    else:
        report_files.write_page(out)
    if record:
        report_files.record(record.folder, record.name, out)


def calibrate(
    data: Annotated[list[Path], Data],
    model: Annotated[Path, typer.Option(help="The model directory; it is changed in place.")] = Path("model"),
    chat: Chat = None,
    split: Annotated[
        str, typer.Option(help="The split to calibrate on; neither training nor a report may use it.")
    ] = "dev",
    work_sources: Annotated[
        str,
        typer.Option(help="Sources similar to the chat that the bot reads, with commas; those in the data are used."),
    ] = "written,ubuntu_irc,gh_incivility",
    false_positive_rate: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="Share of the work sources' harmless messages that reach the threshold."),
    ] = 0.01,
    chat_rate: Annotated[
        float, typer.Option(min=0, max=0.5, help="With --chat, instead: share of its messages that reach it.")
    ] = 0.003,
    likely_precision: Annotated[
        float,
        typer.Option(min=0, max=1, help="Where messages of the chat are labelled: share of the likely that is toxic."),
    ] = 0.6,
    threads: Threads = CORES,
) -> None:
    """Set the temperature and the thresholds of a model directory."""
    from model_build.evaluate import calibration, evaluation_set

    sources = [source.strip() for source in work_sources.split(",") if source.strip()]
    texts = evaluation_set.load(data, split, chat)
    calibration.calibrate(model, texts, sources, false_positive_rate, threads, chat_rate, likely_precision)


def _without_folders(argument: str) -> str:
    """Return only the last part of an absolute path: a report need not tell how a machine's folders are named."""
    return re.sub(r"(^|=)/(?:[^/]+/)*([^/]+)/?$", r"\1\2", argument)
