"""Fine-tuning: it learns, it can be stopped, killed and taken up again, and a seed gives the same model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from model_build.errors import ModelBuildError
from model_build.train import run
from model_build.train.deadline import Deadline
from model_build.train.finetune import Task, finetune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_build.train.run import Run

# Checkpoints a tenth of a second apart: what is said of them is true and does no harm.
pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")


def weights(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_file(folder / "model.safetensors")
    return found


def equal(first: Path, second: Path) -> bool:
    ours, theirs = weights(first), weights(second)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture
def task(messages: Path, base: Path) -> Task:
    return Task(messages, str(base))


@pytest.mark.parametrize("schedule", ["linear", "one-cycle"])
def test_it_learns_to_tell_messages_apart(task: Task, a_run: Callable[..., Run], schedule: str) -> None:
    settings = a_run(steps=150, rate=2e-3, schedule=schedule)
    assert finetune(replace(task, evaluate_every=150), settings)
    told = json.loads((settings.out / "training.json").read_text())
    assert told["measured"][-1]["auc_mean_of_sources"] > 0.95
    assert set(told["measured"][-1]) >= {"auc", "auc_a", "auc_b", "loss", "step"}
    assert told["options"]["schedule"] == schedule
    assert told["data"]["rows"] == 160
    assert str(settings.out) not in json.dumps(told)
    assert not (settings.out / "training_args.bin").exists()


def test_a_run_that_is_killed_goes_on_as_if_nothing_had_been(
    task: Task, a_run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = a_run(steps=14, out=tmp_path / "whole")
    assert finetune(task, whole)

    class KilledError(Exception):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise KilledError

    # Steps 11 and on are in the second epoch; what came after the checkpoint of step 11 is lost.
    cut = a_run(steps=14, out=tmp_path / "cut", save_every=11)
    with monkeypatch.context() as patch:
        saved = run.ScheduledTrainer._save_checkpoint
        steps: list[int] = []

        def training_step(self: Any, *arguments: Any, **keywords: Any) -> Any:
            steps.append(self.state.global_step)
            if self.state.global_step == 12:
                raise KilledError
            return super(run.ScheduledTrainer, self).training_step(*arguments, **keywords)

        patch.setattr(run.ScheduledTrainer, "training_step", training_step)
        with pytest.raises(KilledError):
            finetune(task, cut)
        assert saved is run.ScheduledTrainer._save_checkpoint
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
    assert finetune(task, replace(short, minutes=0.0))
    assert equal(whole.out, short.out)
    # Once done it stays done.
    assert finetune(task, replace(short, minutes=1e-6))


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


def test_a_seed_gives_the_same_model(task: Task, a_run: Callable[..., Run], tmp_path: Path) -> None:
    outs = []
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        outs.append(tmp_path / name)
        assert finetune(task, a_run(out=outs[-1], steps=3, seed=seed))
    assert equal(outs[0], outs[1])
    assert not equal(outs[0], outs[2])


def test_batches_to_one_step_are_averaged(task: Task, a_run: Callable[..., Run], tmp_path: Path) -> None:
    task = replace(task, lower_cased=0.0)
    # Plain differences would hide a factor: the clipping of a gradient shows it.
    one = a_run(out=tmp_path / "one", steps=3, batch=16, clip=1e-3, rate=1e-2)
    four = a_run(out=tmp_path / "four", steps=3, batch=4, accumulate=4, clip=1e-3, rate=1e-2)
    assert finetune(task, one)
    assert finetune(task, four)
    first, second = weights(one.out), weights(four.out)
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-4


def test_another_run_in_the_same_folder_is_refused(task: Task, a_run: Callable[..., Run]) -> None:
    settings = a_run(steps=2)
    assert finetune(task, settings)
    with pytest.raises(ModelBuildError, match="begun with another rate, steps: pass what it was begun with"):
        finetune(task, replace(settings, rate=1e-4, steps=4))


def test_bad_rows_are_skipped_by_line_when_told_to(
    task: Task, a_run: Callable[..., Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(task.data.read_text() + '{"text": "a"}\n')
    with pytest.raises(ModelBuildError, match=r"rows\.jsonl, line 201"):
        finetune(replace(task, data=data), a_run(steps=1))
    assert finetune(replace(task, data=data, skip_bad_rows=True), a_run(steps=1))
    assert "line 201 skipped: label is None, not 0 or 1\n1 bad rows skipped." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "evaluate_every", "message"),
    [
        ([("a", 1, "train")], 0, "no train rows of both labels"),
        ([("a", 1, "dev"), ("b", 0, "dev")], 0, "no train rows of both labels"),
        ([("a", 1, ""), ("b", 0, "")], 5, "no rows of split dev with both labels"),
    ],
)
def test_data_that_teaches_nothing(
    task: Task,
    a_run: Callable[..., Run],
    tmp_path: Path,
    rows: list[tuple[str, int, str]],
    evaluate_every: int,
    message: str,
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": t, "label": label, "split": s}) + "\n" for t, label, s in rows))
    with pytest.raises(ModelBuildError, match=message):
        finetune(replace(task, data=data, evaluate_every=evaluate_every), a_run())


def test_more_tokens_than_the_base_can_read(task: Task, a_run: Callable[..., Run]) -> None:
    with pytest.raises(ModelBuildError, match="--max-length 96 is more than the 64 tokens that the base can read"):
        finetune(task, a_run(max_length=96))
