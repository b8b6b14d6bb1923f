"""A run: it can be stopped, killed and taken up again, stays done, and is known by what it was begun with."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from model_build.errors import ModelBuildError
from model_build.train import trainer
from model_build.train.deadline import Deadline
from model_build.train.finetune import Task, finetune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_build.train.run import Run

pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")


def equal(first: Path, second: Path) -> bool:
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (first, second))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture
def task(messages: Path, base: Path) -> Task:
    return Task(messages, str(base))


def test_a_run_that_is_killed_goes_on_as_if_nothing_had_been(
    task: Task, a_run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = a_run(steps=14, out=tmp_path / "whole")
    assert finetune(task, whole)

    class KilledError(Exception):
        pass

    # Steps 11 and on are in the second epoch; what came after the checkpoint of step 11 is lost.
    cut = a_run(steps=14, out=tmp_path / "cut", save_every=11)
    with monkeypatch.context() as patch:
        steps: list[int] = []

        def training_step(self: Any, *arguments: Any, **keywords: Any) -> Any:
            steps.append(self.state.global_step)
            if self.state.global_step == 12:
                raise KilledError
            return super(trainer.ScheduledTrainer, self).training_step(*arguments, **keywords)

        patch.setattr(trainer.ScheduledTrainer, "training_step", training_step)
        with pytest.raises(KilledError):
            finetune(task, cut)
        assert steps[-1] == 12
    # A process that is killed while it saves leaves a part of a checkpoint.
    shutil.copytree(cut.out / "checkpoint-11", cut.out / "checkpoint-13")
    (cut.out / "checkpoint-13" / "trainer_state.json").write_text('{"epoch": 1.')
    assert finetune(task, cut)
    assert equal(whole.out, cut.out)


def test_minutes_stop_a_run_and_the_same_command_goes_on(
    task: Task, a_run: Callable[..., Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = a_run(out=tmp_path / "whole")
    assert finetune(task, whole)
    short = a_run(out=tmp_path / "short", minutes=1e-6)
    assert not finetune(task, short)
    assert "Stopped at step 1 of 6: the same command goes on." in capsys.readouterr().out
    assert not (short.out / "model.safetensors").exists()
    # Checkpoints are as far apart as the command says that goes on.
    assert finetune(task, replace(short, minutes=0.0, save_every=2))
    assert {folder.name for folder in short.out.glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    assert equal(whole.out, short.out)


def test_once_done_it_stays_done(task: Task, a_run: Callable[..., Run], tmp_path: Path) -> None:
    # At the last step this schedule has a rate: a step too many would move weights.
    settings = a_run(schedule="triangular")
    assert finetune(task, settings)
    shutil.copytree(settings.out, tmp_path / "before")
    told = (settings.out / "training.json").read_text()
    assert json.loads(told)["steps"] == 6
    assert finetune(task, replace(settings, minutes=1e-6))
    assert equal(tmp_path / "before", settings.out)
    assert (settings.out / "training.json").read_text() == told
    # A process that is killed after its last checkpoint has only that.
    for name in ("training.json", "model.safetensors"):
        (settings.out / name).unlink()
    assert finetune(task, settings)
    assert equal(tmp_path / "before", settings.out)
    assert (settings.out / "training.json").read_text() == told
    assert not (settings.out / "training_args.bin").exists()


def test_one_process_whose_time_is_over_stops_all(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []

    def all_reduce(told: torch.Tensor, operation: Any) -> None:
        heard.append((int(told), operation))
        told.fill_(1)

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)

    class Control:
        should_save = should_training_stop = False

    class State:
        global_step, max_steps = 3, 9

    class Arguments:
        world_size, device = 2, "cpu"

    control = Deadline(float("inf")).on_step_end(Arguments(), State(), Control())
    assert control.should_save
    assert control.should_training_stop
    assert heard == [(0, torch.distributed.ReduceOp.MAX)]


def test_another_run_in_the_same_folder_is_refused(task: Task, a_run: Callable[..., Run]) -> None:
    settings = a_run(steps=2)
    assert finetune(task, settings)
    with pytest.raises(ModelBuildError, match="begun with another rate, steps: pass what it was begun with"):
        finetune(task, replace(settings, rate=1e-4, steps=4))


@pytest.mark.parametrize("changed", ["deepspeed", "tokenizer"])
def test_what_a_run_was_begun_with_is_known(task: Task, a_run: Callable[..., Run], changed: str) -> None:
    settings = a_run(steps=1)
    assert finetune(task, settings)
    begun = json.loads((settings.out / "run.json").read_text())
    (settings.out / "run.json").write_text(json.dumps(begun | {changed: "another"}))
    with pytest.raises(ModelBuildError, match=f"begun with another {changed}:"):
        finetune(task, settings)
