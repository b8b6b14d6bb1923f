"""The training commands, from their options to the exit status."""

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification

from model_build.errors import ModelBuildError
from tests.model_build.conftest import Built, read_json, run_command

BRIEFLY = ("--max-steps", 2, "--per-device-train-batch-size", 8, "--max-length", 32, "--use-cpu")


def test_pretrain_convert_and_distill_run_in_sequence(messages: Path, base: Path, tmp_path: Path) -> None:
    encoder, small, student = (tmp_path / name for name in ("encoder", "small", "student"))
    assert run_command("pretrain", "--data", messages, "--base", base, "--out", encoder, *BRIEFLY).exit_code == 0
    assert read_json(encoder / "training.json")["stage"] == "pretrain"
    assert run_command("convert", encoder, "--float16", "--out", small).exit_code == 0
    teach = ("--teacher", "ngrams", "--distill-alpha", 0.7, "--temperature", 3, "--layers", "1")
    command = ("distill", "--data", messages, "--base", small, *teach, "--out", student, *BRIEFLY)
    assert run_command(*command).exit_code == 0
    record = read_json(student / "training.json")
    assert (record["layers"], record["distill_alpha"]) == ("1", 0.7)
    config = AutoModelForSequenceClassification.from_pretrained(student).config
    assert (config.num_hidden_layers, config.id2label) == (1, {0: "NOT_TOXIC", 1: "TOXIC"})


def test_a_model_directory_must_be_converted_before_it_can_be_a_teacher(
    built: Built, messages: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelBuildError, match="model_build convert"):
        run_command("distill", "--data", messages, "--teacher", built.model, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    "wrong",
    [
        "--cap=a",
        "--times=a=b",
        "--lower-cased=2",
        "--max-minutes=nan",
        "--num-train-epochs=0",
        "--layers=0,two",
        "--seed=16777216",
    ],
)
def test_an_invalid_option_is_named(wrong: str) -> None:
    result = run_command("distill", "--data", "d", "--teacher", "ngrams", "--out", "o", wrong)
    assert result.exit_code == 2
    assert wrong.partition("=")[0] in result.output


def test_a_size_that_is_none_is_refused_before_a_file_is_written(base: Path, tmp_path: Path) -> None:
    result = run_command("convert", base, "--out", tmp_path / "out", "--max-shard-size", "abc")
    assert result.exit_code == 2
    assert "abc is not a size such as 500MB" in result.output
    assert not list(tmp_path.iterdir())


def save_with_safetensors(_: str) -> None:
    """Fail as safetensors does. It creates a file beside the target, so it would not write to /dev/full."""
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    "save", [save_with_safetensors, partial(torch.save, torch.zeros(1)), partial(torch.save, torch.zeros(10**6))]
)
def test_a_full_disk_is_reported_as_such(monkeypatch: pytest.MonkeyPatch, save: Callable[[str], None]) -> None:
    monkeypatch.setattr("model_build.train.convert.convert", lambda _: save("/dev/full"))
    ended = run_command("convert", "any", "--out", "any")
    assert isinstance(ended.exception, OSError)
    assert ended.exception.errno == errno.ENOSPC
