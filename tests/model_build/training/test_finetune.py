"""Fine-tuning: it learns, refuses what teaches nothing, and a seed gives the same model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import RobertaModel

from model_build.errors import ModelBuildError
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


def test_a_new_head_is_that_of_the_seed(task: Task, base: Path, a_run: Callable[..., Run], tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "encoder")
    RobertaModel.from_pretrained(base).save_pretrained(folder)
    task = replace(task, base=str(folder))
    for name in ("first", "second"):
        torch.manual_seed(len(name))
        assert finetune(task, a_run(out=tmp_path / name, steps=1))
    assert equal(tmp_path / "first", tmp_path / "second")


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
