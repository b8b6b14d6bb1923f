"""Commands run as processes: signals, a full disk, a closed pipe, invalid settings and a proxy."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import CLOSED, ROOT, run_module
from toxicity_bot.settings import DEFAULTS

SIGNED_IN = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the bot's variables, which other tests set for the whole session."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "SLACK_", "MODEL_DIR", "JOBS_", "LEDGER_"))]:
        monkeypatch.delenv(name)


def started(*command: str, **environ: str) -> subprocess.Popen[str]:
    """Start a module in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, env=os.environ | environ, text=True, process_group=0,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def interrupted(process: subprocess.Popen[str]) -> str:
    """Send Ctrl-C and return what the process then writes to stderr."""
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    return errors


@pytest.mark.failure(82)
@pytest.mark.parametrize("command", ["local.demo", "local.bench", "local.soak"])
def test_ctrl_c_ends_a_command_and_its_child_processes_with_a_message(command: str) -> None:
    process = started(command)
    shown = process.stderr if command == "local.soak" else process.stdout
    assert shown is not None
    assert shown.readline(), "the command is running"
    assert interrupted(process).endswith("\nStopped.\n")


@pytest.mark.failure(82)
@pytest.mark.parametrize("command", [("doctor", "--stack", "x"), ("doctor.secret", "--stack", "x")])
def test_ctrl_c_ends_a_command_that_waits_for_aws(command: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = started(*command, **SIGNED_IN, AWS_ENDPOINT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with silent.accept()[0]:
            assert "\nStopped.\n" in interrupted(process)


@pytest.mark.failure(82)
@pytest.mark.parametrize("output", ["/dev/full", "a closed pipe"])
@pytest.mark.parametrize(
    "command", [("local.demo",), ("doctor", "--help"), ("doctor",), ("toxicity_bot.commands", "score", "--help")]
)
def test_a_failed_write_to_the_output_prints_no_traceback(output: str, command: tuple[str, ...]) -> None:
    if output == "/dev/full":
        written = os.open(output, os.O_WRONLY)
    else:
        read, written = os.pipe()
        os.close(read)
    environ = {**os.environ, "SLACK_API_URL": CLOSED}
    call = [sys.executable, "-m", *command]
    ended = subprocess.run(call, cwd=ROOT, env=environ, stdout=written, stderr=subprocess.PIPE, text=True, check=False)
    os.close(written)
    full = "The disk is full: make room, then run the same command again.\n"
    assert (ended.returncode, ended.stderr) == (1, full if output == "/dev/full" else "")


@pytest.mark.failure(81, 82)
@pytest.mark.parametrize(
    ("command", "environ", "sentence"),
    [
        (("local.demo",), {"TOXIC_THRESHOLD": "abc"}, "TOXIC_THRESHOLD is 'abc': use a number from 0 to 1."),
        (("local.demo",), {"TRIGGER_EMOJI": "\u2623\ufe0f"}, "write biohazard_sign."),
        (("local.demo",), {"MODEL_DIR": "/nonexistent"}, "/nonexistent is not a directory: set MODEL_DIR to"),
        (("local.soak",), {"MAYBE_TOXIC_THRESHOLD": "1"}, "use a number from 0 to "),
        (("local.fuzz", "--receiver", "nothing_here"), {}, "The package nothing_here is not installed here"),
        (("doctor",), dict.fromkeys(DEFAULTS, ""), "make doctor STACK=slack-toxicity-bot"),
    ],
)
def test_invalid_input_is_reported_in_one_sentence(
    command: tuple[str, ...], environ: dict[str, str], sentence: str
) -> None:
    ended = run_module(*command, environ=environ)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2, line
    assert sentence in line


@pytest.mark.failure(82)
def test_an_unexpected_error_prints_one_sentence_with_the_path_of_the_traceback(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import json\njson.dumps = None\n")
    ended = run_module("local.situations", environ={"PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)})
    (line,) = ended.stderr.splitlines()
    (kept,) = tmp_path.glob("toxicity-bot-*.txt")
    assert ended.returncode == 1
    assert line.startswith("TypeError: ")
    assert line.endswith(str(kept))
    assert "Traceback" in kept.read_text()


@pytest.mark.failure(82, 83)
def test_proxy_and_encoding_variables_have_no_effect() -> None:
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://proxy.example:3128")
    shown = run_module("local.demo", environ={**proxies, "PYTHONIOENCODING": "ascii", "TEXT": "You stupid idiot."})
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Likely toxic \\u2013 it scores" in shown.stdout
