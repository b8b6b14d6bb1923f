"""Fine-tuning: it learns, refuses data that teach nothing, and a seed gives the same model."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import RobertaModel

from model_build.data import read
from model_build.errors import ModelBuildError
from model_build.train.cli import FinetuneOptions
from model_build.train.finetune import Targets, finetune
from tests.model_build.train.conftest import equal

MakeOptions = Callable[..., FinetuneOptions]

# Checkpoints are a tenth of a second apart here, which makes the warning true and harmless.
pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")
LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.25], [-3.0, 1.0]])
LABELS = torch.tensor([0, 1, 1])
SOFT = torch.tensor([0.2, 0.7, 0.99])


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_it_learns_to_tell_messages_apart(finetune_options: MakeOptions, schedule: str) -> None:
    options = finetune_options(max_steps=150, lr_scheduler_type=schedule, eval_steps=150)
    assert finetune(options)
    record = json.loads((options.out / "training.json").read_text())
    assert record["log"][-1]["eval_auc_mean_of_sources"] > 0.95
    assert set(record["log"][-1]) >= {"eval_auc", "eval_auc_a", "eval_auc_b", "eval_loss", "step"}
    assert record["lr_scheduler_type"] == schedule
    assert record["data"]["rows"] == 160
    assert str(options.out) not in json.dumps(record)
    assert not (options.out / "training_args.bin").exists()


def test_a_seed_gives_the_same_model(finetune_options: MakeOptions, tmp_path: Path) -> None:
    outs = []
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        outs.append(tmp_path / name)
        assert finetune(finetune_options(out=outs[-1], max_steps=3, seed=seed, augment=True))
    assert equal(outs[0], outs[1])
    assert not equal(outs[0], outs[2])


def test_the_batches_of_a_step_are_averaged(finetune_options: MakeOptions, tmp_path: Path) -> None:
    # Clipping shows a wrong factor, which AdamW alone would hide.
    same = {"max_steps": 3, "max_grad_norm": 1e-3, "learning_rate": 1e-2, "lower_cased": 0.0}
    one = finetune_options(out=tmp_path / "one", per_device_train_batch_size=16, **same)
    four = finetune_options(out=tmp_path / "four", per_device_train_batch_size=4, gradient_accumulation_steps=4, **same)
    assert finetune(one)
    assert finetune(four)
    first, second = (load_file(options.out / "model.safetensors") for options in (one, four))
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-4


def test_a_new_head_depends_on_the_seed(finetune_options: MakeOptions, base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "encoder")
    RobertaModel.from_pretrained(base).save_pretrained(folder)
    for name in ("first", "second"):
        torch.manual_seed(len(name))
        assert finetune(finetune_options(base=str(folder), out=tmp_path / name, max_steps=1))
    assert equal(tmp_path / "first", tmp_path / "second")


def test_frozen_layers_keep_their_weights(finetune_options: MakeOptions, base: Path) -> None:
    options = finetune_options(freeze_layers=1)
    assert finetune(options)
    before, after = load_file(base / "model.safetensors"), load_file(options.out / "model.safetensors")
    unchanged = {name for name in after if torch.equal(before[name], after[name])}
    assert unchanged == {name for name in after if "embeddings" in name or "layer.0." in name}
    with pytest.raises(ModelBuildError, match="the base has 2 layers: pass fewer to --freeze-layers"):
        finetune(finetune_options(freeze_layers=3))


def test_lower_layers_learn_more_slowly(finetune_options: MakeOptions, base: Path) -> None:
    options = finetune_options(
        layer_decay=0.1, max_steps=1, lr_scheduler_type="constant", weight_decay=0.0, learning_rate=1e-3
    )
    assert finetune(options)
    before, after = load_file(base / "model.safetensors"), load_file(options.out / "model.safetensors")
    moved = {name: float((after[name] - before[name]).abs().max()) for name in after}
    # AdamW's first step is as large as the learning rate.
    for part, expected in (
        ("classifier.dense.weight", 4e-3),
        ("roberta.encoder.layer.1.output.dense.weight", 1e-3),
        ("roberta.encoder.layer.0.output.dense.weight", 1e-4),
        ("roberta.embeddings.word_embeddings.weight", 1e-5),
    ):
        assert moved[part] == pytest.approx(expected, rel=0.05), part


def test_several_files_labels_of_chat_and_bad_rows(
    finetune_options: MakeOptions, messages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, chat = tmp_path / "rows.jsonl", tmp_path / "chat.txt"
    chat.write_text("another message\nhello\n")
    label = {"text_sha256": hashlib.sha256(b"hello").hexdigest(), "label": 0}
    rows.write_text(json.dumps(label) + '\n{"text": "a"}\n')
    options = {"data": [messages, rows], "chat": chat}
    with pytest.raises(ModelBuildError, match=r"rows\.jsonl, line 2: label is None, not 0 or 1"):
        finetune(finetune_options(**options))
    trained_on = len(read(messages).of_split("train")) + 1
    assert finetune(finetune_options(**options, skip_bad_rows=True, max_steps=1))
    printed = capsys.readouterr().out
    assert "skipped: rows.jsonl, line 2: label is None, not 0 or 1\n1 bad rows skipped." in printed
    assert f"{trained_on} rows to train on" in printed


@pytest.mark.parametrize(
    ("rows", "eval_steps", "message"),
    [
        ([("a", 1, "train")], 0, "no train rows of both labels"),
        ([("a", 1, "dev"), ("b", 0, "dev")], 0, "no train rows of both labels"),
        ([("a", 1, ""), ("b", 0, "")], 5, "no rows of split dev with both labels"),
    ],
)
def test_data_that_teach_nothing_are_refused(
    finetune_options: MakeOptions, tmp_path: Path, rows: list[tuple[str, int, str]], eval_steps: int, message: str
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": t, "label": label, "split": s}) + "\n" for t, label, s in rows))
    with pytest.raises(ModelBuildError, match=message):
        finetune(finetune_options(data=[data], eval_steps=eval_steps))


def test_more_tokens_than_the_base_can_read_are_refused(finetune_options: MakeOptions) -> None:
    with pytest.raises(ModelBuildError, match="--max-length 96 is more than the 64 tokens the base can read"):
        finetune(finetune_options(max_length=96))


def test_smoothed_labels() -> None:
    wanted = torch.tensor([[0.95, 0.05], [0.05, 0.95], [0.05, 0.95]])
    expected = functional.cross_entropy(LOGITS, wanted)
    assert float(Targets(smoothing=0.1).loss(LOGITS, LABELS, None)) == pytest.approx(float(expected))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_a_student_that_agrees_with_its_teacher_has_nothing_to_learn(temperature: float) -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = Targets(1.0, temperature).loss(logits, LABELS, LOGITS.softmax(-1)[:, 1])
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.allclose(_gradient(logits), torch.zeros_like(LOGITS), atol=1e-6)


def test_at_temperature_one_the_target_is_the_teachers_probability() -> None:
    wanted = torch.stack([1 - SOFT, SOFT], dim=-1)
    entropy = -(wanted * wanted.log()).sum(-1).mean()
    expected = functional.cross_entropy(LOGITS, wanted) - entropy
    assert float(Targets(1.0, 1.0).loss(LOGITS, LABELS, SOFT)) == pytest.approx(float(expected), rel=1e-5)


def test_the_gradient_keeps_its_size_at_a_high_temperature() -> None:
    sizes = []
    for temperature in (4.0, 16.0):
        logits = (LOGITS / 10).requires_grad_()
        Targets(1.0, temperature).loss(logits, LABELS, torch.tensor([0.6, 0.4, 0.45])).backward()
        sizes.append(float(_gradient(logits).norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_a_teacher_that_is_certain_gives_a_finite_loss() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = Targets(1.0, 1.0).loss(logits, LABELS, torch.tensor([0.0, 1.0, 1.0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(_gradient(logits)).all()


def test_alpha_weighs_teacher_and_labels() -> None:
    hard, taught, both = (float(Targets(alpha, 2.0).loss(LOGITS, LABELS, SOFT)) for alpha in (0.0, 1.0, 0.5))
    assert both == pytest.approx((hard + taught) / 2, rel=1e-6)


def _gradient(logits: torch.Tensor) -> Any:
    return logits.grad
