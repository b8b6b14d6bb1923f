"""The commands, from their options to the exit status."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification

from model_build.errors import ModelBuildError
from model_build.train.cli import EXIT_UNFINISHED
from tests import ROOT
from tests.model_build.conftest import Built
from tests.model_build.train.conftest import run_command

pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")
BRIEFLY = ("--max-steps", 2, "--per-device-train-batch-size", 8, "--max-length", 32, "--use-cpu")


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "training.json").read_text())
    return found


def test_finetune_stops_with_its_own_status_and_resumes(messages: Path, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("finetune", "--data", messages, "--base", base, "--out", out, *BRIEFLY, "--cap", "a=7", "--times", "b=2")
    assert run_command(*command, "--max-minutes", 1e-6).exit_code == EXIT_UNFINISHED == 75
    assert run_command(*command).exit_code == 0
    found = record(out)
    assert (found["stage"], found["cap"], found["times"]) == ("finetune", ["a=7"], ["b=2"])
    assert found["data"]["in_an_epoch"] == 14 + 2 * 80
    assert AutoConfig.from_pretrained(out).id2label == {0: "NOT_TOXIC", 1: "TOXIC"}


def test_pretrain_convert_and_distill_one_after_the_other(messages: Path, base: Path, tmp_path: Path) -> None:
    encoder, small, student = (tmp_path / name for name in ("encoder", "small", "student"))
    assert run_command("pretrain", "--data", messages, "--base", base, "--out", encoder, *BRIEFLY).exit_code == 0
    assert record(encoder)["stage"] == "pretrain"
    assert run_command("convert", encoder, "--float16", "--out", small).exit_code == 0
    teach = ("--teacher", "ngrams", "--distill-alpha", 0.7, "--temperature", 3, "--layers", "1")
    command = ("distill", "--data", messages, "--base", small, *teach, "--out", student, *BRIEFLY)
    assert run_command(*command).exit_code == 0
    assert (record(student)["layers"], record(student)["distill_alpha"]) == ("1", 0.7)
    assert AutoModelForSequenceClassification.from_pretrained(student).config.num_hidden_layers == 1


def test_a_model_directory_must_be_converted_before_it_can_teach(built: Built, messages: Path, tmp_path: Path) -> None:
    result = run_command("distill", "--data", messages, "--teacher", built.model, "--out", tmp_path / "out")
    assert isinstance(result.exception, ModelBuildError)
    assert "model_build convert" in str(result.exception)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--cap", "a"),
        ("--times", "a=b"),
        ("--lower-cased", "2"),
        ("--lower-cased", "half"),
        ("--lr-scheduler-type", "square"),
        ("--per-device-train-batch-size", "0"),
        ("--gradient-accumulation-steps", "0"),
        ("--max-length", "2"),
        ("--max-minutes", "-1"),
        ("--max-minutes", "nan"),
        ("--num-train-epochs", "0"),
        ("--temperature", "0"),
        ("--layers", "0,two"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(option: str, value: str) -> None:
    result = run_command("distill", "--data", "d", "--teacher", "ngrams", "--out", "o", option, value)
    assert result.exit_code == 2
    assert option in result.output


@pytest.mark.parametrize("command", ["pretrain", "finetune", "distill", "convert"])
def test_help_says_what_a_command_does(command: str) -> None:
    result = run_command(command, "--help")
    assert result.exit_code == 0
    assert "--out" in result.output
    assert command == "convert" or "5e-05" in result.output or "0.0005" in result.output


def test_ctrl_c_in_training_says_how_to_go_on(messages: Path, base: Path, tmp_path: Path) -> None:
    arguments = ("finetune", "--data", messages, "--base", base, "--out", tmp_path / "out", *BRIEFLY)
    endless = ("--max-steps", "100000", "--save-steps", "1")
    command = [sys.executable, "-m", "model_build", *map(str, (*arguments, *endless))]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        while not [*tmp_path.glob("out/checkpoint-*/trainer_state.json")]:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.endswith("\nStopped.\nThe same command goes on from the last checkpoint.\n")
