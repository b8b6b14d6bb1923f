"""The command line: score messages here and on emulated CPUs, compare, and record what was found.

python -m model_build.cpus --messages FILE.jsonl.xz --number 500 --cpu haswell,arm64 --record docs
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from model_build.cpus import messages, products, record
from model_build.cpus.comparison import check, compare
from model_build.cpus.cpu import KINDS, ROOT, Answer, Cpu, native, score
from model_build.errors import ModelBuildError
from toxicity_bot.errors import ModelError


def main(arguments: list[str]) -> int:
    """Run the command; return the process's exit status, 1 if a CPU's verdicts are not this one's."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (ModelBuildError, ModelError) as error:
        print(f"cpus: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    described = json.loads((options.model / "model.json").read_text(encoding="utf-8"))
    chosen = messages.drawn(options.messages, options.number, options.model) if options.messages else None
    chosen = chosen or messages.own(options.model)
    cpus = [KINDS[name](options.build) for name in options.cpu]
    here = native()
    with tempfile.TemporaryDirectory(prefix="cpus-") as folder:
        products.write(options.model, Path(folder))
        expected = _score(here, options.model, chosen, Path(folder))
        results = []
        for cpu in cpus:
            answer = _score(cpu, options.model, chosen, Path(folder))
            comparison = compare(expected.scores, answer.scores, described["threshold"])
            print(
                f"cpus: {cpu.name}: largest difference {comparison.largest:.6f}, mean {comparison.mean:.6f}; "
                f"verdicts changed near the threshold {comparison.flips_near}, elsewhere {comparison.flips_elsewhere}; "
                f"errors of 8-bit products {max(answer.product_errors.values()):,}, "
                f"of the full range {answer.control_error:,}",
                flush=True,
            )
            _check_products(cpu, answer)
            check(cpu.name, comparison)
            results.append(record.Result(cpu, answer, comparison))
    if options.record:
        record.write(record.fields(described, chosen, (here, expected), results), options.record)
        print(f"cpus: recorded in {options.record / 'cpus.md'}", flush=True)


def _score(cpu: Cpu, model: Path, chosen: messages.Messages, folder: Path) -> Answer:
    print(f"cpus: {cpu.name} ({cpu.description}): {len(chosen.texts)} messages ..", flush=True)
    answer = score(cpu, model, chosen.texts, folder)
    print(f"cpus: {cpu.name}: {answer.seconds:.3f} s a message", flush=True)
    return answer


def _check_products(cpu: Cpu, answer: Answer) -> None:
    if cpu.name == "haswell" and not answer.control_error:
        raise ModelBuildError(
            "haswell: products of the full range are exact, so this was no CPU without VNNI and shows nothing: "
            "look at what `qemu-x86_64-static -cpu` and onnxruntime's kernels do now"
        )
    if wrong := [error for error in answer.product_errors.values() if error]:
        raise ModelBuildError(
            f"{cpu.name}: {len(wrong)} of the model's 8-bit products overflow, by up to {max(wrong):,}: build "
            "the model with 7-bit weights (REDUCE_RANGE in model_build/quantize.py)"
        )


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in {*KINDS, "native"}]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from native, {', '.join(KINDS)}")
    if not (emulated := [name for name in names if name != "native"]):
        raise argparse.ArgumentTypeError(f"native is always run; choose what to compare it with: {', '.join(KINDS)}")
    return emulated


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_build.cpus", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "model", help="the model directory")
    parser.add_argument(
        "--messages", type=Path, help="JSON lines with `text`, plain or .xz; without it, twenty of ours"
    )
    parser.add_argument("--number", type=int, default=500, help="messages drawn from the file")
    parser.add_argument("--cpu", type=_names, default=["haswell"], help="native,haswell,arm64; haswell without it")
    parser.add_argument("--record", type=Path, help="the folder for cpus.json and cpus.md; nothing is kept without it")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where the arm64 root is kept")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
