"""The command line: measure the served model beside every other runtime, and write docs/benchmark.{json,md,png}.

python -m model_build.benchmark
python -m model_build.benchmark --only ours,ort_int8_stock --samples 20
python -m model_build.benchmark --profile
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from model_build import manifest
from model_build.benchmark import inputs, machine, operators, plot
from model_build.benchmark.comparison import compare, prepare
from model_build.benchmark.folders import Folders
from model_build.benchmark.report import Report, tables
from model_build.benchmark.runtimes import NAMES, chosen, versions
from model_build.errors import ModelBuildError
from toxicity_bot.errors import ModelError

THREADS = [1, 2]
QUICK_SAMPLES = 20  # of a length that a whole run does not have
RANDOM_WEIGHTS = "random, from a seed, in the shape of `model/`; speed does not depend on what they are"


def main(arguments: list[str]) -> int:
    """Run the comparison; return the process's exit status."""
    options = _parser().parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"  # all that is read is a local folder: no library need ask
    try:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as work:
            folders = Folders(options.source or Path(work) / "checkpoint", options.model, Path(work))
            if options.profile:
                print(operators.table(operators.profile(options.model, inputs.sequences(folders, options.tokens))))
            else:
                _benchmark(options, folders)
    except (ModelBuildError, ModelError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    return 0


def _benchmark(options: argparse.Namespace, folders: Folders) -> None:
    # Whatever can be refused is refused before minutes are spent.
    runtimes = chosen(options.only, options.without)
    installed = versions(runtimes)
    out = options.out or (Path("docs") if _is_whole(options) else None)
    if out:
        plot.check_drawable()
    for threads in options.threads:
        machine.cores(threads)
    load = os.getloadavg()[0]
    if options.source and not (options.source / "config.json").is_file():
        raise ModelBuildError(f"{options.source} is no folder with a transformers checkpoint: pass another --source")

    prepare(runtimes, folders)
    sequences = inputs.sequences(folders, options.tokens)
    samples = {tokens: options.samples or inputs.SAMPLES.get(tokens, QUICK_SAMPLES) for tokens in options.tokens}
    findings = compare(runtimes, folders, sequences, samples, options.threads)
    for threads in options.threads:
        print(f"\n{tables(findings.rows, threads)}", flush=True)
    if out is None:
        print("That was a quick look: nothing is written without --out.")
        return
    report = Report(
        machine=machine.describe(),
        date=time.strftime("%Y-%m-%d"),
        model={name: facts["sha256"] for name, facts in manifest.read(options.model)["files"].items()},
        load=round(load, 2),
        niceness=os.nice(0),
        weights=f"those of the checkpoint {options.source.name}" if options.source else RANDOM_WEIGHTS,
        pinned=machine.cores(1) is not None,
        versions=installed,
        settings={runtime.name: runtime.settings for runtime in runtimes},
        agreement=findings.agreement,
        rows=findings.rows,
        operators=operators.profile(options.model, sequences),
    )
    report.write(out)
    plot.draw(findings.rows, report.machine, out / "benchmark.png")
    print(f"benchmark: {out / 'benchmark.md'}, .json and .png are written", flush=True)


def _is_whole(options: argparse.Namespace) -> bool:
    return not (options.only or options.samples) and (options.tokens, options.threads) == (
        list(inputs.SAMPLES),
        THREADS,
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    return sorted({_positive(name) for name in _names(text)})


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _several(text: str) -> int:
    if (number := int(text)) < 2:  # fewer have no percentile
        raise argparse.ArgumentTypeError(f"{text} is not 2 or more")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_build.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("model"), help="the model directory that is ours")
    parser.add_argument("--source", type=Path, help="a checkpoint's folder for the others; without it, random weights")
    parser.add_argument("--out", type=Path, help="where to write; docs for a whole run, nowhere for a quick look")
    parser.add_argument("--without", type=_names, default=[], help=f"runtimes to leave out, of {', '.join(NAMES)}")
    parser.add_argument("--only", type=_names, default=[], help="a quick look: these runtimes alone")
    parser.add_argument("--samples", type=_several, help="a quick look: so many at every length, 2 at least")
    parser.add_argument("--tokens", type=_numbers, default=list(inputs.SAMPLES), help="a quick look: lengths, N,..")
    parser.add_argument("--threads", type=_numbers, default=THREADS, help="a quick look: numbers of threads, N,..")
    parser.add_argument("--profile", action="store_true", help="only print where the time of our model goes")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
