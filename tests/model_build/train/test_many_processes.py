"""Real processes: one that is killed, and two that train one model, with data parallelism and with ZeRO."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model_build.train.cli import FinetuneOptions
from model_build.train.finetune import finetune
from tests.model_build.train.conftest import BRIEFLY, equal

MakeOptions = Callable[..., FinetuneOptions]

ROOT = Path(__file__).resolve().parent.parent.parent.parent
TRAIN = ROOT / "model_build" / "train"
pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")
LONGEST = 900  # seconds: DeepSpeed compiles its communication when it is first used


def command(options: FinetuneOptions, *more: str) -> list[str]:
    """Return the arguments of `python -m model_build` that mean the same."""
    names = ["base", "out", *BRIEFLY, "save_steps"]
    data = [word for path in options.data for word in ("--data", str(path))]
    values = [word for name in names if name != "use_cpu" for word in (_option(name), str(getattr(options, name)))]
    return ["finetune", *data, *values, "--use-cpu", *more]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


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


def test_a_killed_process_resumes(finetune_options: MakeOptions, tmp_path: Path) -> None:
    options = finetune_options(max_steps=60, save_steps=8)
    program = [sys.executable, "-m", "model_build", *command(options)]
    # With another number of threads sums are rounded differently.
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(
        program, cwd=ROOT, env=environment() | threads, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.monotonic() + LONGEST
        while not (options.out / "checkpoint-16").exists():
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (options.out / "training.json").exists()
    assert finetune(options)
    whole = replace(options, out=tmp_path / "whole")
    assert finetune(whole)
    assert equal(options.out, whole.out)


@pytest.mark.parametrize(
    "configuration",
    [None, "zero1.json", "zero2.json", "zero3.json"],
)
def test_two_processes_learn_what_one_does(
    finetune_options: MakeOptions, base: Path, tmp_path: Path, configuration: str | None
) -> None:
    one, two = (
        finetune_options(max_steps=4, per_device_train_batch_size=batch, out=tmp_path / str(batch)) for batch in (16, 8)
    )
    assert finetune(one)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # Only with `--multi_gpu` accelerate starts several processes; without a GPU they communicate over gloo.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port]
    more = ["--deepspeed", str(TRAIN / configuration)] if configuration else []
    done = subprocess.run(
        [*launch, "-m", "model_build", *command(two, *more)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads((two.out / "training.json").read_text())
    assert record["processes"] == 2
    assert record["deepspeed"] == configuration
    first, second, before = (load_file(folder / "model.safetensors") for folder in (one.out, two.out, base))
    assert first.keys() == second.keys()
    moved = max(float((first[name] - before[name]).abs().max()) for name in first)
    apart = max(float((first[name] - second[name]).abs().max()) for name in first)
    assert moved > 1e-3
    assert apart < 0.05 * moved
