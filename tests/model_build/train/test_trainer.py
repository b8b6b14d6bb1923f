"""A run can be stopped, killed and resumed, stays done, and refuses another configuration."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from model_build.errors import ModelBuildError
from model_build.train import trainer
from model_build.train.cli import FinetuneOptions
from model_build.train.finetune import finetune
from tests.model_build.train.conftest import equal

MakeOptions = Callable[..., FinetuneOptions]

pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")


def test_each_epoch_has_every_text_once_and_similar_lengths_together() -> None:
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


def test_a_killed_run_resumes_as_if_nothing_had_happened(
    finetune_options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = {"max_steps": 14, "augment": True}
    whole, cut = (
        finetune_options(out=tmp_path / name, save_steps=steps, **same) for name, steps in (("whole", 200), ("cut", 11))
    )
    assert finetune(whole)

    class KilledError(Exception):
        pass

    # Step 11 is in the second epoch; what follows its checkpoint is lost.
    with monkeypatch.context() as patch:
        steps: list[int] = []

        def training_step(self: Any, *arguments: Any, **keywords: Any) -> Any:
            steps.append(self.state.global_step)
            if self.state.global_step == 12:
                raise KilledError
            return super(trainer.ResumableTrainer, self).training_step(*arguments, **keywords)

        patch.setattr(trainer.ResumableTrainer, "training_step", training_step)
        with pytest.raises(KilledError):
            finetune(cut)
        assert steps[-1] == 12
    # A process that is killed while it saves leaves a part of a checkpoint.
    shutil.copytree(cut.out / "checkpoint-11", cut.out / "checkpoint-13")
    (cut.out / "checkpoint-13" / "trainer_state.json").write_text('{"epoch": 1.')
    assert finetune(cut)
    assert equal(whole.out, cut.out)


def test_a_run_stops_in_time_and_the_same_command_resumes(
    finetune_options: MakeOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = finetune_options(out=tmp_path / "whole")
    assert finetune(whole)
    short = finetune_options(out=tmp_path / "short", max_minutes=1e-6)
    assert not finetune(short)
    assert "Stopped at step 1 of 6: the same command resumes." in capsys.readouterr().out
    assert not (short.out / "model.safetensors").exists()
    # Checkpoints are as far apart as the resuming command says.
    assert finetune(replace(short, max_minutes=0.0, save_steps=2))
    assert {folder.name for folder in short.out.glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    assert equal(whole.out, short.out)


def test_a_finished_run_stays_as_it_is(finetune_options: MakeOptions, tmp_path: Path) -> None:
    # This schedule has a rate at the last step: a step too many would move weights.
    options = finetune_options(lr_scheduler_type="constant")
    assert finetune(options)
    shutil.copytree(options.out, tmp_path / "before")
    record = (options.out / "training.json").read_text()
    assert json.loads(record)["steps"] == 6
    assert finetune(replace(options, max_minutes=1e-6))
    assert equal(tmp_path / "before", options.out)
    assert (options.out / "training.json").read_text() == record
    # A process that is killed after its last checkpoint has only that.
    for name in ("training.json", "model.safetensors"):
        (options.out / name).unlink()
    assert finetune(options)
    assert equal(tmp_path / "before", options.out)
    assert (options.out / "training.json").read_text() == record
    assert not (options.out / "training_args.bin").exists()


def test_all_processes_stop_when_the_time_of_one_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    votes: list[Any] = []

    def all_reduce(vote: torch.Tensor, operation: Any) -> None:
        votes.append((int(vote), operation))
        vote.fill_(1)

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    args: Any = SimpleNamespace(world_size=2, device="cpu")
    state: Any = SimpleNamespace(global_step=3, max_steps=9)
    control: Any = SimpleNamespace(should_save=False, should_training_stop=False)
    # Within its own time, as the other process is not.
    trainer.TimeLimit(1e12).on_step_end(args, state, control)
    assert control.should_save
    assert control.should_training_stop
    assert votes == [(0, torch.distributed.ReduceOp.MAX)]


@pytest.mark.parametrize("changed", ["base", "deepspeed", "learning_rate", "tokenizer"])
def test_another_configuration_in_the_same_folder_is_refused(finetune_options: MakeOptions, changed: str) -> None:
    options = finetune_options(max_steps=1)
    assert finetune(options)
    config = json.loads((options.out / "run.json").read_text())
    (options.out / "run.json").write_text(json.dumps(config | {changed: "another"}))
    with pytest.raises(ModelBuildError, match=f"a run with another {changed}, warmup_ratio: pass the values"):
        finetune(replace(options, warmup_ratio=0.5))
