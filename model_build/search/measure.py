"""Model directories come in, figures come out: all models take one turn in every round, on one thread and one core.

Times are the processor's for this thread rather than the clock's, since the machine may be shared; on an idle one they
are the same. What else is running still costs caches, so changes are taken round by round, beside the shipped model.
"""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import onnx
from tokenizers import Tokenizer

from model_build import manifest
from model_build.benchmark.machine import cores
from model_build.search.finding import Finding, Speed
from toxicity_bot.classifier import Classifier
from toxicity_bot.model_directory import ModelDirectory
from toxicity_bot.model_session import ModelSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

# Tokens, the special ones included, and the rounds of a pass at that length: as many as minutes allow.
ROUNDS = {12: 16, 32: 10, 128: 5, 512: 2}
# Sessions are made anew in each pass: where a session's weights happen to lie in memory is worth two percent.
PASSES = 6
STARTS = 7
SEED = 20260401

# From the start of the interpreter to the first score, as the bot makes it.
START = """
import os, resource
from toxicity_bot.classifier import Classifier
Classifier({model!r}, threads=1).toxicity("You are an idiot.")
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, flush=True)
os._exit(0)
"""


def measure(
    models: Mapping[str, Path], shipped: str, rounds: Mapping[int, int], passes: int, starts: int
) -> list[Finding]:
    """Return a finding for each model, without quality; lengths that the shipped one does not read are left out."""
    longest = manifest.read(models[shipped])["max_length"]
    lengths = [tokens for tokens in rounds if tokens <= longest]
    with _one_core():
        print(f"search: {len(models)} models start {starts} times each", flush=True)
        started = _speeds(_play({name: partial(_start, folder) for name, folder in models.items()}, starts), shipped)
        times: dict[int, dict[str, list[float]]] = {tokens: {name: [] for name in models} for tokens in lengths}
        for number in range(1, passes + 1):
            print(f"search: pass {number} of {passes}", flush=True)
            for tokens, found in _one_pass(
                models, {tokens: _ids(models[shipped], tokens) for tokens in lengths}, rounds
            ):
                for name in models:
                    times[tokens][name] += found[name]
    speeds = {tokens: _speeds(times[tokens], shipped) for tokens in lengths}
    return [
        Finding(
            name=name,
            bytes=sum(path.stat().st_size for path in folder.iterdir()),
            operators=_operators(folder, models[shipped]),
            difference=_difference(folder),
            start=started[name],
            speeds={tokens: speeds[tokens][name] for tokens in lengths},
            quality=None,
        )
        for name, folder in models.items()
    ]


def _start(folder: Path) -> float:
    """Load the model in a fresh process and score a text."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", START.format(model=str(folder))],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout) * 1000


def _score(session: ModelSession, ids: Sequence[int]) -> float:
    """Run twice and return the time of the second, which finds its weights where the first has left them."""
    session.probabilities([ids])
    start = time.thread_time()
    session.probabilities([ids])
    return (time.thread_time() - start) * 1000


def _play(turns: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return everybody's milliseconds; the order is drawn anew in each round, so that none always follows another."""
    times: dict[str, list[float]] = {name: [] for name in turns}
    order = list(turns)
    shuffle = random.Random(SEED).shuffle  # noqa: S311 - an order, not a secret
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            times[name].append(turns[name]())
    return times


def _speeds(times: Mapping[str, Sequence[float]], shipped: str) -> dict[str, Speed]:
    return {
        name: Speed(
            milliseconds=round(statistics.median(found), 3),
            change=round(statistics.median(a / b for a, b in zip(found, times[shipped], strict=True)) - 1, 4),
        )
        for name, found in times.items()
    }


def _one_pass(
    models: Mapping[str, Path], ids: Mapping[int, Sequence[int]], rounds: Mapping[int, int]
) -> Iterator[tuple[int, dict[str, list[float]]]]:
    sessions = {name: ModelSession(ModelDirectory.read(folder), threads=1) for name, folder in models.items()}
    for tokens in ids:
        turns = {name: partial(_score, session, ids[tokens]) for name, session in sessions.items()}
        yield tokens, _play(turns, rounds[tokens])


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Pin this process and those that it starts, where the system can."""
    if pinned := cores(1):
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, pinned)
    try:
        yield
    finally:
        if pinned:
            os.sched_setaffinity(0, before)


def _ids(shipped: Path, tokens: int) -> list[int]:
    """Draw token ids that every model has; the session adds the special ones."""
    first = max(manifest.read(shipped)["special_token_ids"].values()) + 1
    end = Tokenizer.from_file(str(shipped / "tokenizer.json")).get_vocab_size()
    draw = random.Random(SEED)  # noqa: S311 - tokens, not secrets
    return [draw.randrange(first, end) for _ in range(tokens - 2)]


def _operators(folder: Path, shipped: Path) -> dict[str, int]:
    found, before = _kinds(folder), _kinds(shipped)
    return {kind: found[kind] - before[kind] for kind in sorted(found | before) if found[kind] != before[kind]}


def _kinds(folder: Path) -> Counter[str]:
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    return Counter(node.op_type for node in graph.node)


def _difference(folder: Path) -> float:
    """Return the largest difference of toxicity to PyTorch's of the same checkpoint, over the reference texts."""
    classifier = Classifier(folder, threads=1)
    recorded = manifest.read(folder)["reference"]["scores"]
    return max(round(abs(classifier.toxicity(row["text"]) - float(row["toxicity"])), 6) for row in recorded)
