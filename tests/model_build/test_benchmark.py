"""Benchmarks against other runtimes: fair order, correct numbers, and errors for missing or broken runtimes."""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from model_build import benchmark as script
from model_build.benchmark import BOT, OTHERS, benchmark, call, check_agreement, run_rounds, summarize, table, workloads
from model_build.errors import ModelBuildError
from model_build.throughput import SCORERS, throughput
from tests.model_build.conftest import Built, read_json
from toxicity_bot.model_directory import ModelDirectory

PEERS = {"openvino_int8": "nncf", "ctranslate2_int8": "ctranslate2"}  # only installed in the benchmark's environment
MISSING = [name for name, module in PEERS.items() if not find_spec(module)]
EXPECTED = np.array([[0.1, 0.9], [0.8, 0.2]])


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo the variables that the benchmark sets for its processes."""
    for name, value in script.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def test_every_runtime_runs_once_in_each_round() -> None:
    turns: list[str] = []

    def turn(name: str) -> float:
        turns.append(name)
        return len(turns)

    times = run_rounds({name: partial(turn, name) for name in "abc"}, 40)
    rounds = [turns[start : start + 3] for start in range(0, len(turns), 3)]
    assert [sorted(turn) for turn in rounds] == [["a", "b", "c"]] * 41
    assert len({tuple(turn) for turn in rounds}) > 1, "the order must be random"
    assert {name: len(found) for name, found in times.items()} == {"a": 40, "b": 40, "c": 40}
    assert min(min(found) for found in times.values()) > 3, "the first round must be a warm-up"


def test_times_are_summarized_per_message() -> None:
    seconds = [number / 1000 for number in range(2, 202, 2)]
    assert summarize(seconds, 2) == {"median_ms": 50.5, "p95_ms": 95.05, "messages_per_second": 19.8}


def test_workloads_are_reproducible_and_fit_into_a_window(built: Built) -> None:
    model = ModelDirectory.read(built.model)
    loads = workloads(model, 300)
    assert loads == workloads(model, 300)
    assert [load.tokens for load in loads] == [12, 32, model.window, 0, 0]
    texts = [text for load in loads for batch in load.batches for text in batch]
    assert all(text[0] == model.bos_id and text[-1] == model.eos_id and len(text) <= model.window for text in texts)
    one_by_one, batched = ([text for batch in load.batches for text in batch] for load in loads[-2:])
    assert one_by_one == batched
    assert all(len(first) <= len(second) for first, second in pairwise(batched))


def test_workloads_have_the_words_of_a_vocabulary_that_ends_with_a_special_token(built: Built) -> None:
    model = replace(ModelDirectory.read(built.model), pad_id=299)
    texts = [text for load in workloads(model, 300) for batch in load.batches for text in batch]
    assert {id_ for text in texts for id_ in text[1:-1]} <= {*range(299)} - {model.bos_id, model.eos_id}


def test_the_last_line_compares_the_bot_with_the_fastest_other_runtime() -> None:
    def shown(**medians: float) -> str:
        rows: list[dict[str, Any]] = [
            {"runtime": name, "amx": True, "workload": "12 tokens", "tokens": 12, "median_ms": median, "p95_ms": median}
            for name, median in medians.items()
        ]
        return table([*rows, *(row | {"amx": False, "median_ms": 1.0} for row in rows)], amx=True)

    assert "0.75 |" in shown(a=8.0, b=4.0, **{BOT: 3.0}).splitlines()[-1]
    assert "fastest" not in shown(**{BOT: 3.0})


@pytest.mark.parametrize("found", [EXPECTED[::-1], EXPECTED * np.nan, EXPECTED[:1]])
def test_a_runtime_that_disagrees_is_refused(found: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    assert check_agreement("a", EXPECTED + 0.1, EXPECTED) == pytest.approx(0.1)
    with pytest.raises(ModelBuildError, match=r"a does not score as the bot does: .*--without a"):
        check_agreement("a", found, EXPECTED)


def test_a_runtime_that_fails_or_dies_is_named() -> None:
    with ProcessPoolExecutor(1, script.SPAWN) as pool:
        with pytest.raises(ModelBuildError, match=r"peer failed \(ValueError: .*--without peer"):
            call(pool, "peer", int, "x")
        with pytest.raises(ModelBuildError, match=r"peer failed .BrokenProcessPool"):
            call(pool, "peer", os._exit, 1)


def test_the_installed_runtimes_are_measured(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "BULK_MESSAGES", 3)
    monkeypatch.setattr(script, "WARM_UP_SECONDS", 0)
    benchmark(built.model, out=tmp_path, without=",".join([*MISSING, "torch_int8"]), rounds=2)
    report = read_json(tmp_path / "benchmark.json")
    assert {"machine", "date", "rows", "versions", "agreement"} <= report.keys()
    modes = {row["amx"] for row in report["rows"]}
    measured = {"torch_fp32", "ort_fp32", "ort_int8_stock", BOT} | ({*OTHERS[4:]} - {*MISSING})
    assert {row["runtime"] for row in report["rows"]} == measured
    assert len(report["rows"]) == len(measured) * 5 * len(modes)
    assert all(row["median_ms"] > 0 and row["p95_ms"] > 0 and row["threads"] == 1 for row in report["rows"])
    assert ("amx_int8" in report["machine"]) == (modes == {True, False})
    for written in (capsys.readouterr().out, (tmp_path / "benchmark.md").read_text()):
        assert table(report["rows"], amx=False) in written
    assert (tmp_path / "benchmark.png").stat().st_size


def test_another_checkpoint_is_refused(built: Built, tmp_path: Path) -> None:
    module = AutoModelForSequenceClassification.from_pretrained(built.checkpoint)
    with torch.no_grad():
        module.classifier.out_proj.weight.neg_()
    module.save_pretrained(tmp_path)
    with pytest.raises(ModelBuildError, match=r"torch_fp32 does not score as the bot does: .*--source"):
        benchmark(built.model, source=tmp_path, without=",".join(OTHERS[1:]), rounds=2)


def test_a_runtime_that_cannot_convert_the_model_is_left_out() -> None:
    assert all(script.supports(name, "roberta") for name in OTHERS)
    assert [name for name in OTHERS if not script.supports(name, "mpnet")] == ["ctranslate2_int8"]


@pytest.mark.parametrize("name", ["tensorrt", BOT])
def test_an_unknown_runtime_name_is_refused(built: Built, name: str) -> None:
    with pytest.raises(ModelBuildError, match=f"--without accepts torch_fp32, .* not {name}"):
        benchmark(built.model, without=name)


def test_the_throughput_is_printed(built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat = tmp_path / "chat.txt"
    chat.write_text("hello there\n" * 200)
    throughput(chat, lines=130, model=built.model, without=",".join(SCORERS.keys() - {"ours"}))
    page, last = capsys.readouterr().out.rsplit("\n\n", 1)
    assert "130 messages of 2.0 words" in page
    assert f"|`ours`|{json.loads(last)['rates']['ours'][0]:.0f}" in page.replace(" ", "")
    with pytest.raises(ModelBuildError, match="200 lines, fewer than --lines 300"):
        throughput(chat, lines=300, model=built.model)
    with pytest.raises(ModelBuildError, match=r"--without accepts .* not detoxify"):
        throughput(chat, lines=130, model=built.model, without="detoxify")
