"""The comparison with other runtimes: fair turns, right numbers, and nothing measured that is missing or broken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import pytest

from model_build.benchmark import machine, operators, plot, random_checkpoint, runtimes
from model_build.benchmark.__main__ import main
from model_build.benchmark.agreement import LARGEST_SHARE, agreement, check_agreement
from model_build.benchmark.comparison import compare
from model_build.benchmark.folders import Folders
from model_build.benchmark.inputs import sequences
from model_build.benchmark.pytorch import TorchFp32, TorchInt8
from model_build.benchmark.reference_ids import reference_ids
from model_build.benchmark.report import Report, meets_goal, ratios, tables
from model_build.benchmark.rounds import FEWEST_ROUNDS, WARM_UP_ROUNDS, Row, measure, play_rounds, summary
from model_build.benchmark.runtime_process import THREAD_VARIABLES, RuntimeProcess
from model_build.benchmark.served import Ours
from model_build.errors import ModelBuildError
from model_build.steps import REFERENCE_TEXTS as TEXTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .conftest import Built

IDS = [0, 5, 6, 7, 2]


class Recorded:
    """A runtime whose times are given beforehand, and which notes its turns."""

    def __init__(self, name: str, turns: list[str], times: Sequence[float] = ()) -> None:
        self.name = name
        self._turns = turns
        self._times = iter(times)

    def milliseconds(self, ids: Sequence[int]) -> float:
        assert ids == IDS
        self._turns.append(self.name)
        return next(self._times, 1.0)


@pytest.fixture
def folders(built: Built, tmp_path: Path) -> Folders:
    return Folders(built.checkpoint, built.model, tmp_path)


def test_every_runtime_takes_one_turn_in_every_round() -> None:
    turns: list[str] = []
    names = ["a", "b", "c"]
    times = play_rounds([Recorded(name, turns) for name in names], IDS, 40)
    rounds = [turns[start : start + 3] for start in range(0, len(turns), 3)]
    assert [sorted(turn) for turn in rounds] == [names] * (WARM_UP_ROUNDS + 40)
    assert {tuple(turn) for turn in rounds} > {("a", "b", "c")}, "the order is drawn anew"
    assert {name: len(found) for name, found in times.items()} == dict.fromkeys(names, 40)


def test_rounds_that_warm_up_do_not_count() -> None:
    slow_start = [1000.0] * WARM_UP_ROUNDS + [3.0, 1.0, 2.0]
    assert play_rounds([Recorded("a", [], slow_start)], IDS, 3) == {"a": [3.0, 1.0, 2.0]}


def test_a_slow_machine_ends_the_rounds_early_but_not_before_there_are_a_few() -> None:
    seconds = iter(range(1000))  # every look at the clock takes one
    times = play_rounds([Recorded("a", [])], IDS, 100, seconds=8, clock=lambda: float(next(seconds)))
    assert len(times["a"]) == FEWEST_ROUNDS + 8
    late = play_rounds([Recorded("a", [])], IDS, 100, seconds=0, clock=iter([0.0, 99.0]).__next__)
    assert len(late["a"]) == FEWEST_ROUNDS


def test_a_row_holds_median_percentile_and_drift() -> None:
    times = [float(value) for value in range(1, 101)]
    assert summary("a", 2, 12, times) == Row("a", 2, 12, 50.5, 95.05, 100, round(50 / 50.5, 4))


def test_rows_go_by_runtime_and_length() -> None:
    lines: list[str] = []
    names = ("a", "b")
    rows = measure([Recorded(name, []) for name in names], {5: IDS, 6: IDS}, {5: 2, 6: 4}, 1, lines.append)
    found = [(one.runtime, one.tokens, one.samples) for one in rows]
    assert found == [("a", 5, 2), ("b", 5, 2), ("a", 6, 4), ("b", 6, 4)]
    assert lines == ["   5 tokens: a 1.00, b 1.00", "   6 tokens: a 1.00, b 1.00"]


def row(runtime: str, tokens: int, median_ms: float, threads: int = 1) -> Row:
    return Row(runtime, threads, tokens, median_ms, median_ms * 1.5, samples=30, drift=0.01)


ROWS = [
    row("torch_fp32", 12, 32.0),
    row("ort_int8_stock", 12, 5.0),
    row("openvino_int8", 12, 4.0),
    row("ours", 12, 3.8),
    row("torch_fp32", 128, 140.0),
    row("ort_int8_stock", 128, 38.0),
    row("openvino_int8", 128, 33.0),
    row("ours", 128, 30.0),
]
REPORT = Report(
    machine="A CPU, 2 cores (avx512_vnni yes), Linux",
    date="2026-04-01",
    model={"model.onnx": "0123456789abcdef"},
    load=0.1,
    niceness=0,
    weights="random",
    pinned=True,
    versions={"torch": "2"},
    settings={"torch_fp32": "eager", "ours": "served"},
    agreement={"torch_int8": 0.1},
    rows=[*ROWS, *(replace(one, threads=2) for one in ROWS)],
    operators={"MatMulInteger": {12: 3.0, 128: 25.0}, "Gather": {12: 0.01, 128: 0.02}, "Softmax": {12: 0.01, 128: 4.0}},
)


def test_ratios_are_ours_divided_by_stock_by_the_fastest_other_and_by_pytorch() -> None:
    assert ratios(ROWS, 1) == {
        "ort_int8_stock": {12: 3.8 / 5, 128: 30 / 38},
        "the fastest other": {12: 3.8 / 4, 128: 30 / 33},
        "torch_fp32": {12: 3.8 / 32, 128: 30 / 140},
    }


def test_a_goal_is_met_at_every_length_or_not_and_beside_pytorch_at_12_tokens() -> None:
    lines = tables(ROWS, 1).splitlines()
    assert "| `ort_int8_stock` | 0.760 | 0.789 | 0.75 | no |" in lines
    assert "| the fastest other | 0.950 | 0.909 | 0.9 | no |" in lines
    assert "| `torch_fp32` | 0.119 | 0.214 | 0.125, 12 tokens | yes |" in lines
    assert not meets_goal("ort_int8_stock", {12: 0.7, 128: 0.8})
    assert meets_goal("ort_int8_stock", {12: 0.7, 128: 0.75})
    assert "Where it falls short" in REPORT.as_markdown()
    assert "| **`ours`** | 3.80 / 5.70 | 30.00 / 45.00 |" in lines


def test_without_a_runtime_its_ratio_is_left_out() -> None:
    rows = [one for one in ROWS if one.runtime in ("ours", "openvino_int8")]
    assert list(ratios(rows, 1)) == ["the fastest other"]
    assert ratios([one for one in ROWS if one.runtime != "ours"], 1) == {}
    assert "ours divided by" not in tables([one for one in ROWS if one.runtime == "ours"], 1)


def test_the_json_has_the_fields_that_programs_rely_on(tmp_path: Path) -> None:
    REPORT.write(tmp_path / "docs")
    fields = json.loads((tmp_path / "docs" / "benchmark.json").read_text())
    assert {"machine", "date", "rows", "versions"} <= fields.keys()
    assert len(fields["rows"]) == len(REPORT.rows)
    for found, expected in zip(fields["rows"], REPORT.rows, strict=True):
        assert {"runtime", "threads", "tokens", "median_ms", "p95_ms"} <= found.keys()
        assert (found["runtime"], found["threads"]) == (expected.runtime, expected.threads)
        assert (found["tokens"], found["median_ms"]) == (expected.tokens, expected.median_ms)


def test_the_page_says_how_it_was_measured_and_where_the_time_goes(tmp_path: Path) -> None:
    REPORT.write(tmp_path)
    page = (tmp_path / "benchmark.md").read_text()
    for expected in ("## 1 thread\n", "## 2 threads\n", REPORT.machine, "30 (12 tokens), 30 (128 tokens)"):
        assert expected in page
    assert "0123456789ab (`model.onnx`)" in page
    assert "| MatMulInteger | 3.00 (99%) | 25.00 (86%) |\n| Softmax | 0.01 (0%) | 4.00 (14%) |" in page
    assert "| 1 others | 0.01 (0%) | 0.02 (0%) |" in page


EXPECTED = [[-1.0, 1.0], [1.0, -1.0], [0.2, -0.2]]


def test_a_runtime_that_rounds_agrees() -> None:
    rounded = [[-0.9, 1.1], [1.0, -0.9], [0.2, -0.3]]
    assert check_agreement("a", rounded, EXPECTED) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (EXPECTED[::-1], "a does not compute what PyTorch computes.* off by 0.60 of their spread"),
        ([[0.0, 0.0]] * 3, "off by 0.50 .*--without a"),
        ([[float("nan")] * 2] * 3, "off by nan"),
        (EXPECTED[:2], r"answers in the shape \(2, 2\)"),
    ],
)
def test_a_runtime_that_is_broken_is_not_measured(found: list[list[float]], reason: str) -> None:
    with pytest.raises(ModelBuildError, match=reason):
        check_agreement("a", found, EXPECTED)


def test_a_reference_that_answers_alike_to_every_text_proves_nothing() -> None:
    with pytest.raises(ModelBuildError, match="off by inf"):
        check_agreement("a", [[1.0, 0.0]] * 3, [[1.0, 0.0]] * 3)


def test_pytorch_in_8_bits_agrees_and_another_order_of_texts_does_not(folders: Folders) -> None:
    texts = reference_ids(folders.checkpoint)
    with RuntimeProcess(TorchFp32, folders, 1, None) as full, RuntimeProcess(TorchInt8, folders, 1, None) as quantized:
        assert 0 < agreement([quantized], full, texts)["torch_int8"] < LARGEST_SHARE
        expected, found = ([one.logits(ids) for ids in texts] for one in (full, quantized))
    with pytest.raises(ModelBuildError, match="torch_int8 does not compute"):
        check_agreement("torch_int8", found[1:] + found[:1], expected)


def state(process: RuntimeProcess) -> str:
    command = ["ps", "-o", "state=", "-p", str(process._process.pid)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()[:1]


def test_a_runtime_is_timed_as_served_and_stopped_while_others_run(folders: Folders) -> None:
    with RuntimeProcess(Ours, folders, 1, machine.cores(1)) as ours:
        assert ours.milliseconds(IDS) > 0
        assert sum(ours.logits(IDS)) == pytest.approx(1), "ours answers with probabilities"
        assert state(ours) == "T"
        assert os.getpgid(ours._process.pid or 0) == ours._process.pid, "stopping it must not hang up on this process"


def test_a_process_is_born_with_its_number_of_threads(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set later, they come too late for the libraries that are loaded with the first import."""
    monkeypatch.setenv(THREAD_VARIABLES[0], "7")
    before = dict(os.environ)
    with RuntimeProcess(Ours, folders, 2, None) as ours:
        command = ["ps", "eww", "-o", "command=", "-p", str(ours._process.pid)]
        born_with = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert {f"{name}=2" for name in THREAD_VARIABLES} <= set(born_with)
    assert dict(os.environ) == before


def test_a_runtime_that_fails_is_named(folders: Folders) -> None:
    nothing = replace(folders, checkpoint=folders.work / "nothing")
    with pytest.raises(ModelBuildError, match=r"torch_fp32 fails: .*nothing.*--without torch_fp32"):
        RuntimeProcess(TorchFp32, nothing, 1, None)


def test_a_process_that_dies_is_named(folders: Folders) -> None:
    with RuntimeProcess(Ours, folders, 1, None) as ours:
        assert ours._process.pid is not None
        os.kill(ours._process.pid, signal.SIGKILL)
        with pytest.raises(ModelBuildError, match="the process of ours ended by itself with status -9"):
            ours.milliseconds(IDS)


def test_pytorch_is_started_for_comparing_even_if_it_is_not_measured(folders: Folders) -> None:
    findings = compare([TorchInt8, Ours], folders, sequences(folders, [12]), {12: 2}, [1])
    assert [one.runtime for one in findings.rows] == ["torch_int8", "ours"]
    assert list(findings.agreement) == ["torch_int8"]


def test_a_quick_look_prints_and_writes_nothing(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--model", str(built.model), "--source", str(built.checkpoint), "--only", "ours,torch_fp32"]
    assert main([*arguments, "--tokens", "12,32", "--threads", "1", "--samples", "2"]) == 0
    printed = capsys.readouterr().out
    assert "| **`ours`** |" in printed
    assert "| `torch_fp32` |" in printed
    assert "nothing is written" in printed
    assert list(tmp_path.iterdir()) == []


def test_a_missing_peer_ends_the_run_with_a_sentence(
    built: Built, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def only_torch(package: str) -> str:
        if package == "ctranslate2":
            raise PackageNotFoundError(package)
        return version("torch")

    monkeypatch.setattr(runtimes, "version", only_torch)
    assert main(["--model", str(built.model)]) == 1
    error = capsys.readouterr().err
    assert "ctranslate2_int8 needs ctranslate2, which is not installed here: `make benchmark` installs it" in error
    assert "--without ctranslate2_int8" in error
    left = runtimes.chosen([], ["ctranslate2_int8"])
    assert "ctranslate2" not in runtimes.versions(left)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--only", "tensorrt"], "there is no runtime tensorrt: the names are torch_fp32, "),
        (["--only", "ours", "--without", "ours"], "leave no runtime to measure"),
        (["--only", "ours", "--threads", "4096"], "4096 threads need as many cores"),
        (["--only", "ours", "--tokens", "65"], "the model reads 3 to 64 tokens, not 65"),
        (["--only", "ours", "--source", "nowhere"], "nowhere is no folder with a transformers checkpoint"),
        (["--only", "ours", "--out", "out"], "the plot needs matplotlib"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    built: Built,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.setattr(plot, "find_spec", lambda _: None)
    assert main(["--model", str(built.model), *arguments]) == 1
    assert reason in capsys.readouterr().err


def test_the_names_are_those_of_the_json() -> None:
    assert runtimes.NAMES == (
        "torch_fp32",
        "torch_int8",
        "ort_fp32",
        "ort_int8_stock",
        "openvino_int8",
        "ctranslate2_int8",
        "ours",
    )


def test_random_weights_have_the_shape_of_the_model(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"LAYERS": 2, "HEADS": 2, "WIDTH": 32, "INNER_WIDTH": 64}  # of the tests' checkpoint
    for name, value in shape.items():
        monkeypatch.setattr(random_checkpoint, name, value)
    random_checkpoint.write_random_checkpoint(folders.model, folders.work / "random")
    texts = reference_ids(folders.work / "random")
    with RuntimeProcess(TorchFp32, replace(folders, checkpoint=folders.work / "random"), 1, None) as fresh:
        assert len({tuple(fresh.logits(ids)) for ids in texts}) == len(TEXTS), "texts can be told apart by their logits"


def test_random_weights_of_another_shape_are_refused(folders: Folders) -> None:
    with pytest.raises(
        ModelBuildError, match=r"a DistilRoBERTa with its vocabulary has .*pass the checkpoint .*--source"
    ):
        random_checkpoint.write_random_checkpoint(folders.model, folders.work / "random")


def test_inputs_are_the_same_every_time_and_as_long_as_asked(folders: Folders) -> None:
    found = sequences(folders, [12, 64])
    assert found == sequences(folders, [12, 64])
    assert {tokens: len(ids) for tokens, ids in found.items()} == {12: 12, 64: 64}
    assert all((ids[0], ids[-1], min(ids[1:-1]) > 2) == (0, 2, True) for ids in found.values())


def event(name: str, start: int, microseconds: int, operator: str = "") -> dict[str, object]:
    kind = "Node" if operator else "Session"
    return {"cat": kind, "name": name, "ts": start, "dur": microseconds, "args": {"op_name": operator}}


def test_a_profile_counts_the_runs_after_the_warm_up() -> None:
    events = []
    for number in range(operators.WARM_UP_RUNS + 2):
        start, slow = number * 100_000, 10 if number < operators.WARM_UP_RUNS else 1
        events += [
            event("a_kernel_time", start + 10, 2000 * slow, "MatMulInteger"),
            event("a_fence_before", start + 5, 9999, "MatMulInteger"),
            event("b_kernel_time", start + 20, 500 * slow, "Softmax"),
            event("model_run", start, 3000 * slow),
        ]
    assert operators.mean_times(events) == pytest.approx({"MatMulInteger": 2, "Softmax": 0.5, operators.BETWEEN: 0.5})


def test_a_profile_of_the_served_model_is_printed(built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(built.model), "--profile", "--tokens", "12,64"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("| operator | 12 tokens | 64 tokens |")
    assert "MatMul" in printed
    assert f"| {operators.BETWEEN} |" in printed


CPU_INFO = "processor : 0\nmodel name\t: A CPU @ 2 GHz\nflags\t\t: fpu avx2 avx512_vnni\n"


def test_a_machine_is_described_by_what_decides_speed() -> None:
    described = machine.describe(CPU_INFO)
    assert described.startswith("A CPU @ 2 GHz, ")
    assert "avx2 yes, avx512_vnni yes, avx_vnni no, amx_int8 no" in described
    assert "flags unknown" in machine.describe("")


def test_cores_are_as_many_as_threads() -> None:
    pinned = machine.cores(1)
    assert pinned is None or len(pinned) == 1
