"""The command line: build every candidate beside the model as it ships, measure them, write docs/rewrites.{md,json}.

python -m model_build.search --source FOLDER --quality labelled.jsonl.xz
python -m model_build.search --source FOLDER --only bias_gelu,merged_matrix
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from model_build import manifest
from model_build.benchmark import machine
from model_build.errors import ModelBuildError
from model_build.search.build import Builder
from model_build.search.candidates import CANDIDATES, SHIPPED, chosen
from model_build.search.judge import Judge
from model_build.search.measure import PASSES, ROUNDS, STARTS, measure
from model_build.search.report import Report, speed_table
from toxicity_bot.errors import ModelError


def main(arguments: list[str]) -> int:
    """Run the search; return the process's exit status."""
    options = _parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="search-", dir=options.work) as work:
            _search(options, Path(work))
    except (ModelBuildError, ModelError) as error:
        print(f"search: {error}", file=sys.stderr)
        return 1
    return 0


def _search(options: argparse.Namespace, work: Path) -> None:
    candidates = chosen(options.only)
    out = options.out or (None if options.only else Path("docs"))
    judge = Judge(options.source, options.toxic_labels, options.quality) if options.quality else None
    builder = Builder(options.source, options.toxic_labels, work)
    models = {}
    for candidate in candidates:
        print(f"search: building {candidate.name}", flush=True)
        models[candidate.name] = builder.build(candidate)
    starts = STARTS if options.passes > 1 else 1
    findings = measure(models, SHIPPED, ROUNDS, options.passes, starts)
    if judge:
        print(f"search: scoring {len(judge.texts):,} labelled texts with each that rounds otherwise", flush=True)
        findings = [
            replace(finding, quality=judge.quality(models[candidate.name]))
            if candidate.rounds_otherwise or candidate.name == SHIPPED
            else finding
            for candidate, finding in zip(candidates, findings, strict=True)
        ]
    print(speed_table(findings), flush=True)
    if out is None:
        print("That was a quick look: nothing is written without --out.")
        return
    fields = manifest.read(models[SHIPPED])
    report = Report(
        command=_command(options),
        date=time.strftime("%Y-%m-%d"),
        machine=machine.describe(),
        source=fields["source"],
        revision=fields["revision"],
        versions=fields["versions"],
        references=len(fields["reference"]["scores"]),
        rounds={tokens: options.passes * ROUNDS[tokens] for tokens in findings[0].speeds},
        starts=starts,
        labelled_texts=len(judge.texts) if judge else 0,
        full_precision=judge.full_precision() if judge else None,
        candidates=candidates,
        findings=findings,
    )
    report.write(out)
    print(f"search: {out / 'rewrites.md'} and .json are written", flush=True)


def _command(options: argparse.Namespace) -> str:
    """Return the command without the paths of the machine that ran it."""
    words = ["python -m model_build.search --source FOLDER"]
    words += ["--quality FILE"] if options.quality else []
    words += [f"--only {','.join(options.only)}"] if options.only else []
    words += [f"--passes {options.passes}"] if options.passes != PASSES else []
    return " ".join(words)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _passes(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_build.search", description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, help="a folder with a transformers checkpoint, or a hub id")
    parser.add_argument("--toxic-labels", type=_names, default=[], help="where the labels' names do not tell: NAME,..")
    parser.add_argument("--quality", type=Path, help="labelled JSON lines (.xz or plain)")
    names = ", ".join(candidate.name for candidate in CANDIDATES if not candidate.is_control)
    parser.add_argument("--only", type=_names, default=[], help=f"a quick look: some candidates alone, of {names}")
    parser.add_argument("--passes", type=_passes, default=PASSES, help="each makes all sessions anew and measures")
    parser.add_argument("--out", type=Path, help="where to write; docs for a whole run, nowhere for a quick look")
    parser.add_argument("--work", type=Path, help="where to build, about 3 GB; else where temporary files go")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
