"""Training runs: stopping, killing and resuming, finished runs, changed configurations and several processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from model_build.errors import ModelBuildError
from model_build.train import trainer
from model_build.train.cli import EXIT_UNFINISHED, FinetuneOptions
from model_build.train.finetune import finetune
from tests import ROOT
from tests.model_build.conftest import edit_json, read_json, run_command
from tests.model_build.train.conftest import BRIEFLY, MakeOptions, differences, equal

LONGEST = 900  # seconds: DeepSpeed compiles its communication on first use
# ninja, which compiles it, is in the same folder as the interpreter.
ENVIRONMENT = os.environ | {
    "DS_ACCELERATOR": "cpu",
    "OMP_NUM_THREADS": "1",
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    "TORCH_EXTENSIONS_DIR": str(ROOT / "build" / "torch_extensions"),
}


def command(options: FinetuneOptions, *more: str) -> list[str]:
    """Return the equivalent arguments of `python -m model_build`."""
    names = ["data", "base", "out", *BRIEFLY, "save_steps"]
    given = {name: getattr(options, name) for name in names} | {"data": options.data[0]}
    del given["use_cpu"]
    values = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return ["finetune", *values, "--use-cpu", *more]


def test_each_epoch_has_every_text_once_and_groups_similar_lengths() -> None:
    lengths = [3 + index * 7 % 60 for index in range(1000)]
    epochs: list[int] = []
    args = SimpleNamespace(train_batch_size=5, gradient_accumulation_steps=2, world_size=1, seed=1)
    running: Any = SimpleNamespace(args=args, state=SimpleNamespace(epoch=2.4))
    texts: Any = SimpleNamespace(lengths=lambda: lengths, begin_epoch=epochs.append)
    order = list(trainer.LengthGroupedSampler(running, texts))
    assert epochs == [2]
    assert sorted(order) == list(range(1000))
    steps = [[lengths[index] for index in order[start : start + 10]] for start in range(0, 1000, 10)]
    assert sum(max(step) - min(step) for step in steps) / len(steps) < 10


def test_a_killed_run_resumes_with_an_identical_result(finetune_options: MakeOptions, tmp_path: Path) -> None:
    options = finetune_options(max_steps=60, save_steps=8, augment=True)
    program = [sys.executable, "-m", "model_build", *command(options, "--augment")]
    # Another number of threads would round sums differently.
    environment = ENVIRONMENT | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(
        program, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.monotonic() + LONGEST
        while not (options.out / "checkpoint-16").exists():  # in the second epoch
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (options.out / "training.json").exists()
    # A process that is killed while saving leaves a partial checkpoint.
    (options.out / "checkpoint-59").mkdir()
    (options.out / "checkpoint-59" / "trainer_state.json").write_text('{"epoch": 1.')
    assert finetune(options)
    whole = replace(options, out=tmp_path / "whole")
    assert finetune(whole)
    assert equal(options.out, whole.out)


def test_a_run_stops_at_its_time_limit_and_the_same_command_resumes_it(
    finetune_options: MakeOptions, tmp_path: Path
) -> None:
    mixture = {"cap": ["a=7"], "times": ["b=2"]}
    whole, short = (finetune_options(out=tmp_path / name, **mixture) for name in ("whole", "short"))
    assert finetune(whole)
    same = command(short, "--cap", "a=7", "--times", "b=2")
    stopped = run_command(*same, "--max-minutes", 1e-6)
    assert stopped.exit_code == EXIT_UNFINISHED == 75
    assert "Stopped at step 1 of 6. Run the same command to resume." in stopped.output
    assert not (short.out / "model.safetensors").exists()
    # The resuming command sets the interval between checkpoints.
    assert run_command(*same, "--save-steps", 2).exit_code == 0
    assert {folder.name for folder in short.out.glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    assert equal(whole.out, short.out)
    record = read_json(short.out / "training.json")
    assert (record["stage"], record["cap"], record["times"]) == ("finetune", ["a=7"], ["b=2"])
    assert record["data"]["in_an_epoch"] == 14 + 2 * 80


def test_ctrl_c_prints_how_to_resume(finetune_options: MakeOptions) -> None:
    options = finetune_options(max_steps=100_000, save_steps=1)
    program = [sys.executable, "-m", "model_build", *command(options)]
    with subprocess.Popen(program, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        while not [*options.out.glob("checkpoint-*/trainer_state.json")]:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.endswith("\nStopped.\nRun the same command to resume from the last checkpoint.\n")


def test_a_finished_run_is_not_changed(finetune_options: MakeOptions, tmp_path: Path) -> None:
    # The learning rate is not zero at the last step, so an extra step would change weights.
    options = finetune_options(lr_scheduler_type="constant")
    assert finetune(options)
    shutil.copytree(options.out, tmp_path / "before")
    record = (options.out / "training.json").read_text()
    assert json.loads(record)["steps"] == 6
    assert finetune(replace(options, max_minutes=1e-6))
    assert equal(tmp_path / "before", options.out)
    assert (options.out / "training.json").read_text() == record
    # A process that is killed after its last checkpoint leaves only that.
    for name in ("training.json", "model.safetensors"):
        (options.out / name).unlink()
    assert finetune(options)
    assert equal(tmp_path / "before", options.out)
    assert (options.out / "training.json").read_text() == record
    assert not (options.out / "training_args.bin").exists()
    # Without its checkpoints it is still a finished run.
    for checkpoint in options.out.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    written = (options.out / "model.safetensors").stat().st_mtime_ns
    assert finetune(options)
    with pytest.raises(ModelBuildError, match="a run with another learning_rate: pass the values"):
        finetune(replace(options, learning_rate=1.0))
    (options.out / "run.json").unlink()
    with pytest.raises(ModelBuildError, match=r"run\.json is missing: pass another --out"):
        finetune(options)
    assert (options.out / "model.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize("changed", ["base", "deepspeed", "learning_rate", "tokenizer"])
def test_another_configuration_in_the_same_folder_is_refused(finetune_options: MakeOptions, changed: str) -> None:
    options = finetune_options(max_steps=1)
    assert finetune(options)
    edit_json(options.out / "run.json", **{changed: "another"})
    with pytest.raises(ModelBuildError, match=f"a run with another {changed}: pass the values"):
        finetune(options)


def test_all_processes_stop_when_one_reaches_its_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    votes: list[Any] = []

    def all_reduce(vote: torch.Tensor, operation: Any) -> None:
        votes.append((int(vote), operation))
        vote.fill_(1)

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    args: Any = SimpleNamespace(world_size=2, device="cpu")
    state: Any = SimpleNamespace(global_step=3, max_steps=9)
    control: Any = SimpleNamespace(should_save=False, should_training_stop=False)
    # This process is within its time limit, and the other one is not.
    trainer.TimeLimit(1e12).on_step_end(args, state, control)
    assert control.should_save
    assert control.should_training_stop
    assert votes == [(0, torch.distributed.ReduceOp.MAX)]


@pytest.mark.parametrize("configuration", [None, "zero1.json", "zero2.json", "zero3.json"])
def test_two_processes_learn_the_same_as_one(
    finetune_options: MakeOptions, base: Path, tmp_path: Path, configuration: str | None
) -> None:
    one, two = (
        finetune_options(max_steps=4, per_device_train_batch_size=batch, out=tmp_path / str(batch)) for batch in (16, 8)
    )
    assert finetune(one)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # accelerate starts several processes only with `--multi_gpu`. Without a GPU they communicate over gloo.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port]
    more = ["--deepspeed", str(ROOT / "model_build" / "train" / configuration)] if configuration else []
    program = [*launch, "-m", "model_build", *command(two, *more)]
    done = subprocess.run(
        program, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    record = read_json(two.out / "training.json")
    assert record["processes"] == 2
    assert record["deepspeed"] == configuration
    moved = max(differences(one.out, base).values())
    assert moved > 1e-3
    assert max(differences(one.out, two.out).values()) < 0.05 * moved
