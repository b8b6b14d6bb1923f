"""Rows of medians come in, docs/benchmark.json for programs and docs/benchmark.md for people come out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from model_build.benchmark import operators
from model_build.benchmark.runtime_process import WARM_UP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_build.benchmark.rounds import Row

OURS, STOCK, REFERENCE = "ours", "ort_int8_stock", "torch_fp32"
BEST = "the fastest other"
GOALS = {STOCK: 3 / 4, BEST: 9 / 10, REFERENCE: 1 / 8}
REMARK = 12  # tokens; what a chat mostly holds, and the only length that the goal against PyTorch is about

SHORTFALL = """\
## Where it falls short, and why
A remark's time is spent on reading the weights once, 43 MB of them, which every runtime with 8-bit weights has to do:
no graph makes that less. In long texts attention takes most of the time; onnxruntime computes it in 32 bits, while on
a CPU with AMX OpenVINO does so in 16 bits, several times as fast. The table of operators below says how much that is.
[rewrites.md](rewrites.md) lists what was tried on the graph and what each try gave. Attention in 8 bits was not taken
up: attention weights of long texts are smaller than one step of 8 bits, so they would have to be scaled by row, which
no operator of onnxruntime's does.

"""

PAGE = """\
# How fast is the model, beside every other runtime?

Written by `make benchmark` on {date}; run it to write it anew. Milliseconds a text: the median and, after the slash,
the 95th percentile. [`benchmark.json`](benchmark.json) has the same numbers for programs.

![Milliseconds by runtime, length and threads](benchmark.png)

{tables}
{shortfall}## How it was measured
- Machine: {machine}. Its load average when the command began, 1.0 being one busy core: {load:.1f};
  the niceness of the measured processes: {niceness}.
- Every runtime lives in a process of its own, pinned to as many cores as it has threads{pinned}, and is stopped while
  the others take their turn. In every round each takes one turn, in an order drawn anew: the text is run untimed for
  {warm_up} s, until the caches are warm, and then once more, timed. A machine that slows down hurts all alike.
- Rounds: {samples}; the first does not count. The medians of the first and of the second half of the rounds
  differ by {drift:.1%} (the median of all rows) and by {worst_drift:.0%} at most.
- Weights of the others: {weights}. `ours` has the checksums {model}.
- Batches of one, without padding. Token counts include the two special tokens; the tokens are drawn at random, the
  same for all. Not measured: tokenizing, which is the same for all, and loading.
- Before, every runtime's logits of the build's reference texts were compared with PyTorch's; "off by" is the largest
  difference, as a share of how far PyTorch's own lie apart from text to text. It tells a broken runtime from one that
  rounds, and says nothing of quality. `ours` has weights of its own and was held to the scores in its `model.json`.

| runtime | settings | off by |
| --- | --- | --- |
{settings}

Versions: {versions}.

## Where the remaining time goes
Milliseconds and share by operator of `ours`, one thread, by onnxruntime's profiler, which itself takes a little time.

{operators}
"""


@dataclass(frozen=True)
class Report:
    """All that was measured, and what it was measured with."""

    machine: str
    date: str
    model: dict[str, str]  # the checksum of each of its files
    load: float  # average of the minute before, 1.0 being one busy core
    niceness: int  # of the measured processes, 0 being ordinary
    weights: str
    pinned: bool
    versions: dict[str, str]
    settings: dict[str, str]
    agreement: dict[str, float]
    rows: list[Row]
    operators: dict[str, dict[int, float]]

    def write(self, folder: Path) -> None:
        """Write both files."""
        folder.mkdir(parents=True, exist_ok=True)
        fields = asdict(self)
        (folder / "benchmark.json").write_text(
            json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (folder / "benchmark.md").write_text(self.as_markdown(), encoding="utf-8")

    def as_markdown(self) -> str:
        """Return the page."""
        drifts = sorted(row.drift for row in self.rows)
        samples: dict[int, set[int]] = {}
        for row in self.rows:
            samples.setdefault(row.tokens, set()).add(row.samples)
        return PAGE.format(
            date=self.date,
            tables="\n".join(f"{tables(self.rows, threads)}\n" for threads in thread_counts(self.rows)),
            shortfall="" if all(self.goals_met()) else SHORTFALL,
            machine=self.machine,
            load=self.load,
            model=", ".join(f"{checksum:.12} (`{name}`)" for name, checksum in self.model.items()),
            niceness=self.niceness,
            pinned="" if self.pinned else " (not here: this system cannot pin)",
            samples=", ".join(
                f"{' or '.join(map(str, sorted(counts)))} ({tokens} tokens)" for tokens, counts in samples.items()
            ),
            warm_up=WARM_UP_SECONDS,
            drift=drifts[len(drifts) // 2],
            worst_drift=drifts[-1],
            weights=self.weights,
            settings="\n".join(
                f"| `{name}` | {text} | {f'{self.agreement[name]:.3f}' if name in self.agreement else '-'} |"
                for name, text in self.settings.items()
            ),
            versions=", ".join(f"{name} {number}" for name, number in self.versions.items()),
            operators=operators.table(self.operators) if self.operators else "Not measured.",
        )

    def goals_met(self) -> list[bool]:
        """Return one answer for each number of threads and each runtime that has a goal."""
        found = [ratios(self.rows, threads) for threads in thread_counts(self.rows)]
        return [meets_goal(name, by_length) for by_name in found for name, by_length in by_name.items()]


def thread_counts(rows: Sequence[Row]) -> list[int]:
    """Return the numbers of threads that were measured, the smallest first."""
    return sorted({row.threads for row in rows})


def medians(rows: Sequence[Row], threads: int) -> dict[str, dict[int, float]]:
    """Return milliseconds by runtime and number of tokens."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        if row.threads == threads:
            found.setdefault(row.runtime, {})[row.tokens] = row.median_ms
    return found


def ratios(rows: Sequence[Row], threads: int) -> dict[str, dict[int, float]]:
    """Return, for each runtime that has a goal and was measured, ours divided by it, by number of tokens."""
    found = medians(rows, threads)
    ours = found.pop(OURS, None)
    if not ours or not found:
        return {}
    best = {tokens: min(other[tokens] for other in found.values()) for tokens in ours}
    against: Mapping[str, Mapping[int, float]] = found | {BEST: best}
    return {
        name: {tokens: ours[tokens] / against[name][tokens] for tokens in ours} for name in GOALS if name in against
    }


def tables(rows: Sequence[Row], threads: int) -> str:
    """Return the times and the ratios on so many threads as Markdown."""
    here = [row for row in rows if row.threads == threads]
    lengths = list(dict.fromkeys(row.tokens for row in here))
    cells = {(row.runtime, row.tokens): f"{row.median_ms:.2f} / {row.p95_ms:.2f}" for row in here}
    names = list(dict.fromkeys(row.runtime for row in here))
    heads = " | ".join(f"{tokens} tokens" for tokens in lengths)
    lines = [
        f"## {threads} thread{'s' if threads > 1 else ''}",
        f"| runtime | {heads} |",
        f"| --- |{' ---: |' * len(lengths)}",
        *(f"| {_bold(name)} | {' | '.join(cells[name, tokens] for tokens in lengths)} |" for name in names),
    ]
    if not (found := ratios(rows, threads)):
        return "\n".join(lines) + "\n"
    lines += [
        "",
        f"| ours divided by | {heads} | goal | met |",
        f"| --- |{' ---: |' * len(lengths)} ---: | --- |",
        *(_ratio_row(name, by_length) for name, by_length in found.items()),
    ]
    return "\n".join(lines) + "\n"


def _ratio_row(name: str, by_length: Mapping[int, float]) -> str:
    goal = f"{GOALS[name]:g}, {REMARK} tokens" if name == REFERENCE else f"{GOALS[name]:g}"
    shown = name if name == BEST else f"`{name}`"
    met = "yes" if meets_goal(name, by_length) else "no"
    return f"| {shown} | {' | '.join(f'{ratio:.3f}' for ratio in by_length.values())} | {goal} | {met} |"


def meets_goal(name: str, by_length: Mapping[int, float]) -> bool:
    """Whether ours is as fast as it should be beside one other, at every length that was measured."""
    counted = [ratio for tokens, ratio in by_length.items() if name != REFERENCE or tokens == REMARK]
    return all(ratio <= GOALS[name] for ratio in counted)


def _bold(name: str) -> str:
    return f"**`{name}`**" if name == OURS else f"`{name}`"
