"""The command line: judge models side by side, calibrate one, and record what was found with it.

python -m model_build.evaluate --models mine=model --data labelled.jsonl
python -m model_build.evaluate calibrate --model model --data labelled.jsonl
python -m model_build.evaluate record --model model --report docs/evaluation/report.json --name mine
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from model_build.errors import ModelBuildError

# The commands import scikit-learn and torch, seconds of work, so each is imported where it is run.

CACHE = Path("build/evaluate")
OUT = Path("docs/evaluation")
# Of the sources that are like work, those with rows of split dev.
CALIBRATED_SOURCES = "gh_incivility,cat_wiki"


def main(arguments: list[str]) -> int:
    """Run one command; return the process's exit status."""
    parser = _parser()
    # `python -m model_build.evaluate --models ..` means `report --models ..`.
    wants_report = bool(arguments) and arguments[0].startswith("--") and arguments[0] != "--help"
    options = parser.parse_args(["report", *arguments] if wants_report else arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"  # all that is read is a local folder: no library need ask
    try:
        options.run(options)
    except ModelBuildError as error:
        print(f"model_build.evaluate: {error}", file=sys.stderr)
        return 1
    return 0


def _report(options: argparse.Namespace) -> None:
    from model_build.data import read
    from model_build.evaluate import baseline, plots
    from model_build.evaluate.contestants import contestant
    from model_build.evaluate.report import measured
    from model_build.evaluate.selection import select

    load = os.getloadavg()[0]
    # Whatever can be refused is refused before minutes are spent.
    plots.check_drawable()
    if len(names := [name for name, _ in options.models]) != len({*names, baseline.NAME}) - 1:
        raise ModelBuildError(f"--models names {', '.join(names)}: pass a name of its own for each model")
    models = [contestant(name, folder, options.threads) for name, folder in options.models]
    selection = select(options.data, options.split, options.per_source, options.seed)
    rows = read(options.baseline_data or options.data).of_split("train")
    trained = baseline.trained(rows, selection, options.cache)
    report = measured(selection, trained, models, options.cache, options.bootstrap, options.seed, options.threads, load)
    report.write(options.out)
    print(f"evaluate: {options.out / 'report.md'}, .json and three plots are written", flush=True)


def _calibrate(options: argparse.Namespace) -> None:
    from model_build.evaluate.calibration import calibrate
    from model_build.evaluate.selection import select

    selection = select(options.data, options.split)
    calibrate(options.model, selection, options.work_sources, options.false_positive_rate, options.threads)


def _record(options: argparse.Namespace) -> None:
    from model_build.evaluate.record import record

    record(options.model, options.report, options.name)


def _named(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text} is not NAME=FOLDER")
    return name, Path(folder)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _rate(text: str) -> float:
    if not 0 < (number := float(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", type=Path, required=True, help="labelled rows: JSON lines or CSV, .xz or plain")
    shared.add_argument(
        "--threads", type=_positive, default=len(os.sched_getaffinity(0)), help="threads a model may use"
    )
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument("--model", type=Path, default=Path("model"), help="the model directory, changed in place")

    parser = argparse.ArgumentParser(prog="python -m model_build.evaluate", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="command")
    report = commands.add_parser("report", parents=[shared], help="judge models side by side; the default")
    report.add_argument(
        "--models",
        type=_named,
        nargs="+",
        required=True,
        metavar="NAME=FOLDER",
        help="model directories of the bot or transformers checkpoints",
    )
    report.add_argument("--split", default="test", help="which rows are scored")
    report.add_argument("--out", type=Path, default=OUT, help="the folder for report.md, report.json and plots")
    report.add_argument("--per-source", type=_positive, metavar="N", help="a quick look: so many rows of each source")
    report.add_argument("--bootstrap", type=_positive, default=1000, metavar="N", help="draws for the intervals")
    report.add_argument("--seed", type=int, default=1, help="of whatever is drawn at random")
    report.add_argument("--baseline-data", type=Path, help="labelled rows that train the baseline, instead of --data")
    report.add_argument("--cache", type=Path, default=CACHE, help="where scores and the baseline are kept")
    report.set_defaults(run=_report)
    calibrate = commands.add_parser("calibrate", parents=[shared, model], help="temperature and thresholds of a model")
    calibrate.add_argument("--split", default="dev", help="which rows decide: neither trained on nor reported")
    calibrate.add_argument(
        "--work-sources",
        type=_names,
        default=_names(CALIBRATED_SOURCES),
        help="sources like the chat that will be judged",
    )
    calibrate.add_argument(
        "--false-positive-rate", type=_rate, default=0.01, help="of their harmless texts, at the threshold"
    )
    calibrate.set_defaults(run=_calibrate)
    record = commands.add_parser("record", parents=[model], help="a report's figures into model.json and its card")
    record.add_argument("--report", type=Path, default=OUT / "report.json", help="what the report wrote")
    record.add_argument("--name", required=True, help="the model's name in the report")
    record.set_defaults(run=_record)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
