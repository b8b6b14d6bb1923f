"""Measure throughput on real messages: `toxicity-bot score` against common alternatives.

The scorers run one after the other on the same lines, each in its own processes pinned to the same cores. Tokenization
is timed, loading is not. The transformers have random weights, which are as fast as trained weights.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_build import benchmark
from model_build.data import open_text
from model_build.errors import ModelBuildError
from toxicity_bot.bulk import Workers
from toxicity_bot.model_directory import ModelDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from model_build.benchmark import Scorer as Runtime
    from model_build.benchmark import Setup

    Scorer: TypeAlias = Callable[[Sequence[str]], object]

BATCH = 32
WARM_UP = 64  # messages


def bot(setup: Setup) -> Scorer:
    """`toxicity-bot score`: one by one in a process for each core, repeated texts from the cache."""
    thresholds = (setup.model.threshold, setup.model.threshold_maybe)
    pool = Workers(setup.threads, setup.model.path.absolute(), thresholds)
    return lambda texts: [list(scores) for _, scores in pool.score(_batches(texts), list)]


def torch_fp32(setup: Setup) -> Scorer:
    """DistilRoBERTa in PyTorch, 32 bits, batches of 32 in order, as detoxify and transformers' pipeline do."""
    return _in_batches(setup, benchmark.torch_fp32, BATCH)


def ort_int8_stock(setup: Setup) -> Scorer:
    """The same in ONNX Runtime after Optimum's dynamic quantization to 8 bits, batches of 32."""
    return _in_batches(setup, benchmark.ort_int8_stock, BATCH)


def ort_int8_stock_single(setup: Setup) -> Scorer:
    """The same one by one."""
    return _in_batches(setup, benchmark.ort_int8_stock, 1)


def alt_profanity_check(setup: Setup) -> Scorer:  # noqa: ARG001 - it has its own model
    """A linear model of words, in batches of 32; it knows nothing of context."""
    from profanity_check import predict_prob

    return lambda texts: [predict_prob(batch) for batch in _batches(texts)]


SCORERS: Mapping[str, Callable[[Setup], Scorer]] = {
    "ours": bot,
    "torch_fp32": torch_fp32,
    "ort_int8_stock": ort_int8_stock,
    "ort_int8_stock_single": ort_int8_stock_single,
    "alt_profanity_check": alt_profanity_check,
}


def _batches(texts: Sequence[str], size: int = BATCH) -> list[list[str]]:
    return [list(texts[at : at + size]) for at in range(0, len(texts), size)]


def _in_batches(setup: Setup, load: Callable[[Setup], Runtime], size: int) -> Scorer:
    from tokenizers import Tokenizer

    score = load(setup)
    tokenizer = Tokenizer.from_file(str(setup.model.path / "tokenizer.json"))
    tokenizer.enable_truncation(setup.model.window)

    return lambda texts: [
        score([encoding.ids for encoding in tokenizer.encode_batch(batch)]) for batch in _batches(texts, size)
    ]


def _prepare(setup: Setup) -> None:
    """Write a DistilRoBERTa with random weights, and its 8-bit version."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(vocab_size=50_265, num_hidden_layers=6, max_position_embeddings=514, type_vocab_size=1)
    RobertaForSequenceClassification(config).save_pretrained(setup.checkpoint)
    benchmark.ort_int8_stock(setup)


def _seconds(name: str, setup: Setup, texts: Sequence[str]) -> float:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-setup.threads :])
    score = SCORERS[name](setup)
    score(texts[:WARM_UP])
    started = time.perf_counter()
    score(texts[WARM_UP:])
    return time.perf_counter() - started


def throughput(
    messages: Annotated[Path, typer.Argument(help="Messages, one per line, plain or .xz.")],
    lines: Annotated[int, typer.Option(help="Number of messages to read.", min=2 * WARM_UP)] = 20_000,
    model: Annotated[Path, typer.Option(help="The model directory.")] = Path("model"),
    without: Annotated[str, typer.Option(help=f"Scorers to leave out: NAME,.. of {', '.join(SCORERS)}.")] = "",
) -> None:
    """Compare messages per second of `toxicity-bot score` and alternatives, on one core and on all cores."""
    from tabulate import tabulate

    names = benchmark.exclude(list(SCORERS), without)
    with open_text(messages) as file:
        texts = [line.rstrip("\r\n") for line in itertools.islice(file, lines)]
    if len(texts) < lines:
        raise ModelBuildError(f"{messages} has {len(texts):,} lines, fewer than --lines {lines:,}")
    counts = sorted({1, len(os.sched_getaffinity(0))})
    rates: dict[str, list[float]] = {name: [] for name in names}
    os.environ |= {name: value for name, value in benchmark.ENVIRONMENT.items() if not name.endswith("THREADS")}
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory(prefix="throughput-") as work:
        directory = ModelDirectory.read(model)
        setups = [benchmark.Setup(directory, Path(work, "checkpoint"), Path(work), [], count) for count in counts]
        if {name for name in names if name.startswith(("torch", "ort"))}:
            with ProcessPoolExecutor(1, benchmark.SPAWN) as pool:
                benchmark.call(pool, "ort_int8_stock", _prepare, setups[0])
        for setup in setups:
            for name in names:
                print(f"measure: {name}, cores: {setup.threads}", flush=True)
                with ProcessPoolExecutor(1, benchmark.SPAWN) as pool:
                    seconds = benchmark.call(pool, name, _seconds, name, setup, texts)
                rates[name].append((lines - WARM_UP) / seconds)
    words = sum(len(text.split()) for text in texts) / lines
    print(f"\n{benchmark.describe_machine()}; load average {os.getloadavg()[0]:.1f}")
    print(f"{lines:,} messages of {words:.1f} words\n")
    rows = []
    for name, found in rates.items():
        ratios = [ours / rate for ours, rate in zip(rates.get("ours", found), found, strict=True)]
        rows.append([f"`{name}`", *(f"{rate:.0f}" for rate in found), *(f"{ratio:.1f}" for ratio in ratios)])
    cores = [f"cores: {count}" for count in counts]
    head = ["messages per second", *cores, *(f"ours / it, {count}" for count in cores)]
    print(tabulate(rows, head, "pipe", disable_numparse=True))
    settings = {name: SCORERS[name].__doc__ for name in names}
    print("\n" + json.dumps({"cores": counts, "rates": rates, "settings": settings}))
