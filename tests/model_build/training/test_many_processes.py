"""Real processes: one that is killed, and several that train one model, with plain data parallelism and with ZeRO."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from model_build.train.finetune import Task, finetune

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_build.train.run import Run

ROOT = Path(__file__).resolve().parent.parent.parent.parent
TRAIN = ROOT / "model_build" / "train"
pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")
LONGEST = 900  # seconds: DeepSpeed compiles its communication when it is first used


def command(task: Task, settings: Run, *more: str) -> list[str]:
    """Return the arguments of `python -m model_build.train` that mean the same."""
    named = ["steps", "batch", "rate", "max_length", "save_every"]
    options = [word for name in named for word in (f"--{name.replace('_', '-')}", str(getattr(settings, name)))]
    given = ["--data", str(task.data), "--base", task.base, "--lower-cased", str(task.lower_cased)]
    return ["finetune", *given, "--out", str(settings.out), "--cpu", *options, *more]


def environment() -> dict[str, str]:
    extensions = ROOT / "build" / "torch_extensions"
    # ninja, which compiles the extension, lies beside the interpreter.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
        "TORCH_EXTENSIONS_DIR": str(extensions),
        "PATH": path,
    }


def weights(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_file(folder / "model.safetensors")
    return found


def test_a_process_that_is_killed(messages: Path, base: Path, a_run: Callable[..., Run], tmp_path: Path) -> None:
    task, settings = Task(messages, str(base)), a_run(steps=60, save_every=8)
    program = [sys.executable, "-m", "model_build.train", *command(task, settings)]
    # Sums are rounded otherwise by another number of threads.
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(
        program, cwd=ROOT, env=environment() | threads, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.monotonic() + LONGEST
        while not (settings.out / "checkpoint-16").exists():
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (settings.out / "training.json").exists()
    assert finetune(task, settings)
    whole = replace(settings, out=tmp_path / "whole")
    assert finetune(task, whole)
    first, second = weights(settings.out), weights(whole.out)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "configuration",
    [None, "zero1.json", "zero2.json", "zero3.json"],
)
def test_two_processes_learn_what_one_does(
    messages: Path, base: Path, a_run: Callable[..., Run], tmp_path: Path, configuration: str | None
) -> None:
    task = Task(messages, str(base))
    one, two = a_run(steps=4, batch=16, out=tmp_path / "one"), a_run(steps=4, batch=8, out=tmp_path / "two")
    assert finetune(task, one)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # `--multi_gpu` is what starts a process each: without a GPU they talk over gloo.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port]
    more = ["--deepspeed", str(TRAIN / configuration)] if configuration else []
    done = subprocess.run(
        [*launch, "-m", "model_build.train", *command(task, two, *more)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((two.out / "training.json").read_text())
    assert told["processes"] == 2
    assert told["deepspeed"] == configuration
    first, second, begun = weights(one.out), weights(two.out), weights(base)
    assert first.keys() == second.keys()
    moved = max(float((first[name] - begun[name]).abs().max()) for name in first)
    apart = max(float((first[name] - second[name]).abs().max()) for name in first)
    assert moved > 1e-3
    assert apart < 0.05 * moved
