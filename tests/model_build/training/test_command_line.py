"""The command line: stages and tools, from their options to the exit status; `compare` has tests of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from model_build.train import argument_types
from model_build.train.__main__ import GOES_ON, main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")
BRIEFLY = ["--steps", "2", "--batch", "8", "--max-length", "32", "--cpu"]


def told(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "training.json").read_text())
    return found


def test_without_a_stage_it_fine_tunes(messages: Path, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        "--data",
        str(messages),
        "--base",
        str(base),
        "--out",
        str(out),
        *BRIEFLY,
        "--cap",
        "a=7",
        "--times",
        "b=2",
    ]
    assert main([*command, "--minutes", "0.000001"]) == GOES_ON
    assert main(command) == 0
    found = told(out)
    assert found["stage"] == "finetune"
    assert found["mixture"] == {"caps": {"a": 7}, "times": {"b": 2}, "lower_cased": 0.5}
    assert found["data"]["in_an_epoch"] == 14 + 2 * 80  # type: ignore[index]
    assert AutoConfig.from_pretrained(out).id2label == {0: "NOT_TOXIC", 1: "TOXIC"}


def test_pretrain_widen_and_distill_one_after_the_other(messages: Path, base: Path, tmp_path: Path) -> None:
    encoder, wide, student = (tmp_path / name for name in ("encoder", "wide", "student"))
    assert main(["pretrain", "--data", str(messages), "--base", str(base), "--out", str(encoder), *BRIEFLY]) == 0
    assert told(encoder)["stage"] == "pretrain"
    assert main(["widen", "--base", str(base), "--out", str(wide)]) == 0
    assert AutoConfig.from_pretrained(wide).hidden_size == 64
    teach = ["--teacher", "ngrams", "--soft-share", "0.7", "--temperature", "3", "--student-layers", "1"]
    assert main(["distill", "--data", str(messages), "--base", str(wide), *teach, "--out", str(student), *BRIEFLY]) == 0
    assert told(student)["layers"] == [1]
    assert told(student)["teaching"]["soft_share"] == 0.7  # type: ignore[index]
    assert AutoModelForSequenceClassification.from_pretrained(student).config.num_hidden_layers == 1


def test_a_teacher_is_the_base_where_none_is_named(
    messages: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["distill", "--data", str(messages), "--out", str(tmp_path / "out"), *BRIEFLY]
    assert main([*command, "--teacher", "ngrams"]) == 1
    assert "pass --base" in capsys.readouterr().err
    assert main([*command, "--teacher", str(base), "--toxic-labels", "LABEL_1"]) == 0
    assert told(tmp_path / "out")["base"] == {
        "name": f"local folder {base.name}",
        "revision": told(tmp_path / "out")["base"]["revision"],  # type: ignore[index]
    }


def test_transfer_and_narrow(bert: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, narrow = (tmp_path / name for name in ("first", "second", "narrow"))
    command = ["transfer", "--base", str(bert), "--tokenizer", str(base), "--seed", "3"]
    assert [main([*command, "--out", str(out)]) for out in (first, second)] == [0, 0]
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    assert AutoConfig.from_pretrained(first).model_type == "roberta"
    assert main(["narrow", "--base", str(first), "--out", str(narrow)]) == 0
    assert AutoConfig.from_pretrained(narrow).hidden_size == 16
    assert AutoTokenizer.from_pretrained(narrow).get_vocab() == AutoTokenizer.from_pretrained(base).get_vocab()
    for again in (command, ["narrow", "--base", str(first)], ["widen", "--base", str(first)]):
        assert main([*again, "--out", str(second)]) == 1
        assert "second is not empty" in capsys.readouterr().err


def test_split_and_join(base: Path, tmp_path: Path) -> None:
    assert main(["split", str(base), "--size", "20KB", "--out", str(tmp_path / "parts")]) == 0
    assert main(["join", str(tmp_path / "parts"), "--out", str(tmp_path / "back")]) == 0
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "back")


def test_an_error_is_said_in_a_line(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "none.csv"), "--base", str(base), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("model_build.train: ")
    assert said.endswith("none.csv cannot be read: No such file or directory")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--cap", "a"),
        ("--times", "a=b"),
        ("--lower-cased", "2"),
        ("--lower-cased", "half"),
        ("--schedule", "square"),
        ("--batch", "0"),
        ("--accumulate", "0"),
        ("--max-length", "2"),
        ("--minutes", "-1"),
        ("--minutes", "nan"),
        ("--epochs", "0"),
    ],
)
def test_an_option_that_makes_no_sense(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--data", "d", "--base", "b", "--out", "o", option, value])
    assert left.value.code == 2
    assert option in capsys.readouterr().err


def test_a_temperature_of_nought(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["distill", "--data", "d", "--teacher", "ngrams", "--out", "o", "--temperature", "0"])
    assert "'0' is not a number above 0" in capsys.readouterr().err


@pytest.mark.parametrize("ignored", [["--minutes", "5"], ["--deepspeed", "zero1.json"], ["--evaluate-every", "5"]])
def test_a_comparison_refuses_what_it_would_ignore(ignored: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--data", "d", "--base", "b", *ignored]) == 1
    assert f"leave {ignored[0]} out" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "bytes_"), [("16MB", 16_000_000), ("512 kb", 512_000), ("70", 70), ("1G", 10**9)])
def test_sizes(text: str, bytes_: int) -> None:
    assert argument_types.size(text) == bytes_
