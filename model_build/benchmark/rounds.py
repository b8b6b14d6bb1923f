"""Runtimes come in, rows of medians come out: every runtime takes one turn in every round, at every length.

What slows the machine for a while slows all of them alike. Knows nothing of what the runtimes are.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SEED = 1
WARM_UP_ROUNDS = 1  # allocations and, in some runtimes, choosing kernels for a length

# A length takes no longer on one number of threads, whatever the machine, unless that leaves fewer rounds than these:
# four lengths on one and on two threads are done within a quarter of an hour.
SECONDS = 100.0
FEWEST_ROUNDS = 5


class Timed(Protocol):
    """Something with a name that runs one sequence and says how long it took."""

    name: str

    def milliseconds(self, ids: Sequence[int]) -> float:
        """Return the time of one run."""


@dataclass(frozen=True)
class Row:
    """The times of one runtime at one length; `drift` is how far the medians of both halves of a run lie apart."""

    runtime: str
    threads: int
    tokens: int
    median_ms: float
    p95_ms: float
    samples: int
    drift: float


def measure(
    runtimes: Sequence[Timed],
    sequences: Mapping[int, Sequence[int]],
    most: Mapping[int, int],
    threads: int,
    progress: Callable[[str], None],
) -> list[Row]:
    """Return a row a runtime and length; `sequences` and how `most` to run them are by number of tokens."""
    rows = []
    for tokens, ids in sequences.items():
        times = play_rounds(runtimes, ids, most[tokens], SECONDS)
        here = [summary(name, threads, tokens, found) for name, found in times.items()]
        progress(f"{tokens:>4} tokens: " + ", ".join(f"{row.runtime} {row.median_ms:.2f}" for row in here))
        rows += here
    return rows


def play_rounds(
    runtimes: Sequence[Timed],
    ids: Sequence[int],
    rounds: int,
    seconds: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, list[float]]:
    """Return the times of each runtime; the order within a round is drawn anew, so that none always follows another."""
    times: dict[str, list[float]] = {runtime.name: [] for runtime in runtimes}
    order = list(runtimes)
    shuffle = random.Random(SEED).shuffle  # noqa: S311 - an order, not a secret
    end = clock() + seconds
    for number in range(WARM_UP_ROUNDS + rounds):
        if number >= WARM_UP_ROUNDS + FEWEST_ROUNDS and clock() > end:
            break
        shuffle(order)
        for runtime in order:
            taken = runtime.milliseconds(ids)
            if number >= WARM_UP_ROUNDS:
                times[runtime.name].append(taken)
    return times


def summary(name: str, threads: int, tokens: int, times: Sequence[float]) -> Row:
    """Return the row of these times, of which there must be two or more."""
    half = len(times) // 2
    first, second = statistics.median(times[:half]), statistics.median(times[half:])
    return Row(
        runtime=name,
        threads=threads,
        tokens=tokens,
        median_ms=round(statistics.median(times), 3),
        p95_ms=round(statistics.quantiles(times, n=20, method="inclusive")[-1], 3),
        samples=len(times),
        drift=round(abs(first - second) / statistics.median(times), 4),
    )
