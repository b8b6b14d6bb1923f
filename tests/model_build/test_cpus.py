"""Comparing CPUs: which messages, how differences are judged, what is asked for where something is missing."""

from __future__ import annotations

import json
import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_build.cpus import arm64_root, messages, products
from model_build.cpus.__main__ import main
from model_build.cpus.comparison import Comparison, check, compare
from model_build.cpus.cpu import Cpu, native, score
from model_build.cpus.programs import require
from model_build.errors import ModelBuildError
from model_build.source import sha256

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "model"


def test_differences_and_flips_are_told_apart() -> None:
    found = compare([0.10, 0.49, 0.51, 0.90, 0.30], [0.11, 0.505, 0.51, 0.40, 0.30], threshold=0.5)
    assert found.messages == 5
    assert found.largest == pytest.approx(0.5)
    assert found.mean == pytest.approx((0.01 + 0.015 + 0.5) / 5)
    assert (found.near_threshold, found.flips_near, found.flips_elsewhere) == (2, 1, 1)


def test_a_score_that_is_no_number_is_no_agreement() -> None:
    assert np.isnan(compare([0.1, 0.2], [0.1, float("nan")], threshold=0.5).largest)


AGREES = Comparison(messages=5, largest=0.02, mean=0.001, near_threshold=1, flips_near=1, flips_elsewhere=0)


def test_what_agrees_is_accepted() -> None:
    check("haswell", AGREES)


@pytest.mark.parametrize(
    ("comparison", "message"),
    [
        (replace(AGREES, largest=0.0201), "haswell: a message scores 0.0201 apart"),
        (replace(AGREES, largest=float("nan")), "haswell: a message scores nan apart"),
        (replace(AGREES, flips_elsewhere=2), "haswell: 2 verdicts differ"),
    ],
)
def test_what_does_not_agree_is_refused(comparison: Comparison, message: str) -> None:
    with pytest.raises(ModelBuildError, match=message):
        check("haswell", comparison)


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(lzma.compress(content) if path.suffix == ".xz" else content)
    return path


ROWS = [
    *({"text": f"message number {number}", "split": "test"} for number in range(40)),
    {"text": "of another split", "split": "train"},
    {"text": " \n ", "split": "test"},
    {"text": "far too long " * 60, "split": "test"},
    {"text": "hi"},
]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.xz"])
def test_every_message_that_may_be_drawn_is_drawn(tmp_path: Path, suffix: str) -> None:
    found = messages.drawn(write_rows(tmp_path / f"rows{suffix}", ROWS), 41, MODEL)
    assert set(found.texts) == {*(f"message number {number}" for number in range(40)), "hi"}
    assert found.texts[0] == "hi", "the shortest comes first"
    assert found.passed_over in {0, 1}, "the long one, if it was drawn before the last of the others"


def test_a_draw_is_the_same_each_time_and_no_first_lines(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    first, second = messages.drawn(path, 10, MODEL), messages.drawn(path, 10, MODEL)
    assert first == second
    assert first.digest == second.digest != messages.drawn(path, 11, MODEL).digest
    assert {row["text"] for row in ROWS[:10]} != set(first.texts)


def test_too_few_messages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match="41 messages of at most 128 tokens, not 42: ask for fewer"):
        messages.drawn(write_rows(tmp_path / "rows.jsonl", ROWS), 42, MODEL)


@pytest.mark.parametrize("content", ["no JSON\n", '{"body": "x"}\n', "[1]\n"])
def test_a_file_that_holds_no_messages_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.jsonl").write_text(content)
    with pytest.raises(ModelBuildError, match=r"rows\.jsonl .*pass another to --messages"):
        messages.drawn(tmp_path / "rows.jsonl", 1, MODEL)


def test_a_missing_file_ends_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--messages", str(tmp_path / "none.jsonl")]) == 1
    assert f"{tmp_path / 'none.jsonl'} cannot be read" in capsys.readouterr().err


def test_products_are_of_every_matrix_and_reach_the_worst_pair(tmp_path: Path) -> None:
    count = products.write(MODEL, tmp_path)
    with np.load(tmp_path / "inputs.npz") as inputs, np.load(tmp_path / "exact.npz") as exact:
        assert len(exact.files) == count + 1
        assert all((inputs[f"{name}.activations"] == 255).all() for name in exact.files)
        assert exact[products.CONTROL].max() == 255 * 127 * 768
    largest = {
        name: int(np.abs(matrix.astype(int)).max()) for name, matrix in products.weights(MODEL / "model.onnx").items()
    }
    assert len(largest) == count
    assert min(largest.values()) > 32, "matrices, and not their zero points or scales"


def test_shares_are_put_together_in_order(tmp_path: Path) -> None:
    products.write(MODEL, tmp_path)
    texts = messages.OWN[:7]
    alone, shared = (score(replace(native(), processes=count), MODEL, texts, tmp_path) for count in (1, 3))
    assert len(set(alone.scores)) == len(texts)
    assert shared.scores == pytest.approx(alone.scores, abs=1e-6)
    assert max(alone.product_errors.values()) == max(shared.product_errors.values()) == 0


def test_a_cpu_on_which_nothing_runs_is_an_error() -> None:
    with pytest.raises(ModelBuildError, match="broken: scoring ended with status 1"):
        score(Cpu("broken", "none", ("false",)), MODEL, ["hi"], MODEL)


@pytest.mark.parametrize(
    ("names", "sentence"), [("pentium", "pentium: choose from"), ("native", "native is always run")]
)
def test_cpus_that_say_nothing_are_refused(names: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--cpu", names])
    assert sentence in capsys.readouterr().err


def test_who_may_not_install_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ModelBuildError, match="no-such-program is missing: sudo apt-get install its-package"):
        require("no-such-program", "its-package")


def test_root_gets_it_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, apt_get = tmp_path / "emulator", tmp_path / "apt-get"
    apt_get.write_text(f'#!/bin/sh\ncase "$1 $*" in install*its-package) /bin/cp "$0" {program};; esac\n')
    apt_get.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert require("emulator", "its-package") == str(program)


def test_a_failed_installation_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt_get = tmp_path / "apt-get"
    apt_get.write_text("#!/bin/sh\necho no network; exit 100\n")
    apt_get.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(
        ModelBuildError, match="its-package cannot be installed: apt-get ended with status 100\nno network"
    ):
        require("emulator", "its-package")


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "runtime.txt"
    path.write_text("numpy==2.4.6\n")
    return path


def test_an_arm64_root_of_the_same_wheels_is_used_again(tmp_path: Path, requirements: Path) -> None:
    (tmp_path / "arm64").mkdir()
    (tmp_path / "arm64" / "wheels.sha256").write_text(sha256(requirements))
    assert arm64_root.make(tmp_path / "arm64", requirements).site == tmp_path / "arm64" / "site"


def test_an_arm64_root_of_another_python_is_refused(
    tmp_path: Path, requirements: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm64_root, "PYTHON", "3.99")
    with pytest.raises(ModelBuildError, match=r"the arm64 root has Python 3\.99"):
        arm64_root.make(tmp_path / "arm64", requirements)


def test_an_arm64_root_is_made_by_root_alone(
    tmp_path: Path, requirements: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "debootstrap").touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(arm64_root, "PYTHON", arm64_root.running_python())
    with pytest.raises(ModelBuildError, match="as root only"):
        arm64_root.make(tmp_path / "arm64", requirements)
