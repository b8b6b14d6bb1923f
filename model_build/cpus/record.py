"""What was measured comes in, `cpus.json` and the page about it come out. Holds numbers and names, never a message."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from model_build.cpus.comparison import TOLERANCE
from model_build.cpus.messages import LONGEST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_build.cpus.comparison import Comparison
    from model_build.cpus.cpu import Answer, Cpu
    from model_build.cpus.messages import Messages

PAGE = """# The same verdict on every CPU

Written by `make cpus MESSAGES=..`; the same figures are in `cpus.json`. The bot's own classifier scored {number}
messages on this machine and on each emulated CPU, with one thread. The messages: {origin};
{mean_tokens} tokens on average; {passed_over} of more than {longest} tokens were passed over, since emulation is slow.

| CPU | largest difference | mean | verdicts changed near the threshold | elsewhere | seconds a message |
| --- | --- | --- | --- | --- | --- |
{rows}

A score may differ by {tolerance} and not more, and no verdict may change further than that from the threshold of
{threshold}; {near} of the messages lie that near it. `make cpus` fails if this does not hold. The last column is what
emulation costs, not what those CPUs take.

## Products of 8-bit numbers
{matrices} weight matrices of the model times rows of 255, the worst that activations can do, and for comparison a
matrix of 127s, the full range of 8 bits:

| CPU | largest error of the model's products | of the full range |
| --- | --- | --- |
{products}

A CPU with AVX2 and no VNNI adds products in pairs, in 16 bits: 2 x 255 x 127 does not fit and is cut off; 2 x 255 x 64
fits. So weights have 7 bits: Lambda promises x86_64 functions no more than AVX2.

## Where
- {date}, {machine}; onnxruntime {onnxruntime}
- model: {source}, files {files}
{emulators}

## Run it again
```
make cpus                                                      # twenty messages of our own: a minute, nothing recorded
make cpus MESSAGES=FILE.jsonl.xz NUMBER=500 CPU=haswell,arm64  # any JSON lines with "text": this page
```
Root on Debian or Ubuntu gets `qemu-user-static` and `debootstrap` installed by it. arm64 needs a root system with
wheels (500 MB), made in `build/arm64` in half a minute and used again. QEMU computes what a CPU would, at no CPU's
speed; nothing here was run on a Graviton processor.
"""


@dataclass(frozen=True)
class Result:
    """What one CPU answered, beside this machine's."""

    cpu: Cpu
    answer: Answer
    comparison: Comparison


def fields(
    model: dict[str, Any], messages: Messages, native: tuple[Cpu, Answer], results: Sequence[Result]
) -> dict[str, Any]:
    """Return what `cpus.json` holds; `model` is the content of model.json."""
    cpu, answer = native
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "onnxruntime": version("onnxruntime"),
        "model": {
            "source": model["source"],
            "threshold": model["threshold"],
            "sha256": {name: facts["sha256"] for name, facts in model["files"].items()},
        },
        "messages": {
            "number": len(messages.texts),
            "origin": messages.origin,
            "sha256": messages.digest,
            "mean_tokens": round(messages.mean_tokens, 1),
            "longest": LONGEST,
            "passed_over": messages.passed_over,
        },
        "tolerance": TOLERANCE,
        "native": {"cpu": cpu.description, **_measured(answer)},
        "cpus": {
            result.cpu.name: {
                "cpu": result.cpu.description,
                "emulator": result.cpu.emulator,
                **asdict(result.comparison),
                **_measured(result.answer),
            }
            for result in results
        },
    }


def write(record: dict[str, Any], folder: Path) -> None:
    """Replace cpus.json and cpus.md in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpus.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (folder / "cpus.md").write_text(page(record), encoding="utf-8")


def page(record: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    messages, native, cpus = record["messages"], record["native"], record["cpus"]
    everywhere = {"this machine": native, **cpus}
    return PAGE.format(
        **{name: messages[name] for name in ("number", "origin", "mean_tokens", "longest", "passed_over")},
        rows="\n".join(
            [f"| this machine | | | | | {native['seconds_per_message']:.3f} |"]
            + [
                f"| {name}: {found['cpu']} | {found['largest']:.5f} | {found['mean']:.6f} | {found['flips_near']} "
                f"| {found['flips_elsewhere']} | {found['seconds_per_message']:.2f} |"
                for name, found in cpus.items()
            ]
        ),
        tolerance=record["tolerance"],
        threshold=record["model"]["threshold"],
        near=next(iter(cpus.values()))["near_threshold"],
        matrices=native["products"]["matrices"],
        products="\n".join(
            f"| {name} | {found['products']['largest_error']:,} | {found['products']['full_range']:,} |"
            for name, found in everywhere.items()
        ),
        date=record["date"],
        machine=native["cpu"],
        onnxruntime=record["onnxruntime"],
        source=record["model"]["source"],
        files=", ".join(f"`{name}` {checksum[:12]}" for name, checksum in record["model"]["sha256"].items()),
        emulators="\n".join(f"- {name}: {found['emulator']}" for name, found in cpus.items()),
    )


def _measured(answer: Answer) -> dict[str, Any]:
    errors = answer.product_errors
    return {
        "architecture": answer.architecture,
        "seconds_per_message": round(answer.seconds, 4),
        "products": {
            "matrices": len(errors),
            "largest_error": max(errors.values()),
            "full_range": answer.control_error,
        },
    }
