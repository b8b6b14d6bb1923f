"""The command line: subcommands, errors, and a model that is built step by step."""

from pathlib import Path

import pytest

from model_build.__main__ import main
from tests.model_build.conftest import Built
from toxicity_bot.errors import BotError

TRAINING = ("pretrain", "align", "finetune", "distill", "convert")
OTHERS = ("build", "verify", "evaluate", "calibrate", "benchmark", "throughput")


def status(*arguments: str) -> object:
    """Return the exit status, or the error message."""
    try:
        main(arguments)
    except SystemExit as ended:
        return ended.code
    except BotError as error:
        return str(error)
    raise AssertionError("a command always ends with a status")


@pytest.mark.parametrize("verb", [*TRAINING, *OTHERS])
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(verb, "--help") == 0
    assert f"python -m model_build {verb} " in capsys.readouterr().out


def test_a_model_is_built_step_by_step(built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work, out = tmp_path / "work", tmp_path / "model"
    folders = ("--work", str(work), "--out", str(out))
    export = ("build", *folders, "--step", "export", "--source", str(built.checkpoint), "--name", "tiny")
    assert "has A, B, but the checkpoint has" in str(status(*export, "--toxic-labels", "A, B"))
    assert status(*export) == 0
    for step in ("fuse", "quantize", "optimize", "assemble"):
        assert not out.exists()
        assert status("build", *folders, "--step", step) == 0
    assert status("verify", "--model", str(out)) == 0
    assert "reference scores agree" in capsys.readouterr().out
    for name in ("model.onnx", "model.onnx.data", "tokenizer.json"):
        assert (out / name).read_bytes() == (built.model / name).read_bytes(), (
            "must equal the model of a complete build"
        )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("build",), "pass --source"),
        (("build", "--step", "fuse"), "with --work"),
        (("build", "--source", "no-such-folder"), "neither a folder nor a hub id"),
        (("verify", "--quality", "rows.jsonl"), "also pass the checkpoint with --source"),
        (("verify", "--model", "no-such-folder"), "build a model into this folder first"),
    ],
)
def test_an_error_is_reported_in_one_sentence(arguments: tuple[str, ...], reason: str) -> None:
    message = status(*arguments)
    assert isinstance(message, str)
    assert reason in message


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-verb",),
        ("build", "--step", "bake"),
        ("build", "--threshold", "high"),
        ("build", "--window", "2"),
        ("build", "--fast"),
    ],
)
def test_usage_errors_exit_with_2(arguments: tuple[str, ...]) -> None:
    assert status(*arguments) == 2
