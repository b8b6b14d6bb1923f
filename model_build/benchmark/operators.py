"""The served model comes in; where its time goes, operator by operator, comes out, by onnxruntime's own profiler."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime

from model_build.benchmark.onnx_runtime import as_inputs
from toxicity_bot.model_directory import ModelDirectory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WARM_UP_RUNS = 5
RUNS = 30
BETWEEN = "between the operators"  # what a run takes beyond them
SMALL = 0.01  # of a run: operators below that at every length share a row


def profile(model: Path, sequences: Mapping[int, Sequence[int]]) -> dict[str, dict[int, float]]:
    """Return milliseconds a run, on one thread, by operator and number of tokens, the costliest operator first."""
    directory = ModelDirectory.read(model)
    found: dict[str, dict[int, float]] = defaultdict(lambda: dict.fromkeys(sequences, 0.0))
    for tokens, ids in sequences.items():
        for operator, milliseconds in mean_times(_events(directory, ids)).items():
            found[operator][tokens] = round(milliseconds, 3)
    return dict(sorted(found.items(), key=lambda item: -sum(item[1].values())))


def mean_times(events: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return milliseconds a run by operator; the runs that warmed up do not count."""
    runs = sorted((event for event in events if event["name"] == "model_run"), key=lambda event: event["ts"])
    counted = runs[WARM_UP_RUNS:]
    times: dict[str, float] = defaultdict(float)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time") and event["ts"] >= counted[0]["ts"]:
            times[event["args"]["op_name"]] += event["dur"] / 1000 / len(counted)
    total = sum(event["dur"] for event in counted) / 1000 / len(counted)
    return dict(times) | {BETWEEN: max(0.0, total - sum(times.values()))}


def table(found: Mapping[str, Mapping[int, float]]) -> str:
    """Return Markdown: milliseconds and share of each operator, those that are small everywhere in one row."""
    lengths = list(next(iter(found.values())))
    totals = {tokens: sum(times[tokens] for times in found.values()) for tokens in lengths}

    def row(name: str, times: Mapping[int, float]) -> str:
        cells = (f"{times[tokens]:.2f} ({times[tokens] / totals[tokens]:.0%})" for tokens in lengths)
        return f"| {name} | {' | '.join(cells)} |"

    shown = [
        name for name, times in found.items() if any(times[tokens] >= SMALL * totals[tokens] for tokens in lengths)
    ]
    others = {tokens: sum(times[tokens] for name, times in found.items() if name not in shown) for tokens in lengths}
    return "\n".join(
        [
            f"| operator | {' | '.join(f'{tokens} tokens' for tokens in lengths)} |",
            f"| --- |{' ---: |' * len(lengths)}",
            *(row(name, found[name]) for name in shown),
            row(f"{len(found) - len(shown)} others", others),
            row("all", totals),
        ]
    )


def _events(directory: ModelDirectory, ids: Sequence[int]) -> list[dict[str, Any]]:
    onnxruntime.disable_telemetry_events()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        for key, value in directory.session_config.items():
            options.add_session_config_entry(key, value)
        levels = onnxruntime.GraphOptimizationLevel.__members__
        options.graph_optimization_level = levels[directory.graph_optimization]
        session = onnxruntime.InferenceSession(
            str(directory.path / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        inputs = {name: value for name, value in as_inputs(ids).items() if name in directory.input_names}
        for _ in range(WARM_UP_RUNS + RUNS):
            session.run(["logits"], inputs)
        events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        return events
