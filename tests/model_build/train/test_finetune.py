"""Fine-tuning: it learns, refuses useless data, and is reproducible with a seed."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AlbertConfig, AlbertForSequenceClassification, EvalPrediction, RobertaModel

from model_build.augmentation import Augmentation
from model_build.errors import ModelBuildError
from model_build.train import finetune as finetune_module
from model_build.train.finetune import UNLABELLED, Targets, finetune, freeze, level, source_aucs
from model_build.train.initial_model import load
from tests.model_build.conftest import BERT_SHAPE, read_json, write_rows
from tests.model_build.train.conftest import MakeOptions, differences, equal

LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.25], [-3.0, 1.0]])
LABELS = torch.tensor([0, 1, UNLABELLED])
SOFT = torch.tensor([0.2, 0.7, 0.99])


def test_fine_tuning_learns_to_classify_messages(finetune_options: MakeOptions) -> None:
    options = finetune_options(max_steps=150, lr_scheduler_type="cosine", eval_steps=150)
    assert finetune(options)
    record = read_json(options.out / "training.json")
    assert record["log"][-1]["eval_auc_mean_of_sources"] > 0.95
    assert set(record["log"][-1]) >= {"eval_auc", "eval_auc_a", "eval_auc_b", "eval_loss", "step"}
    assert record["lr_scheduler_type"] == "cosine"
    assert record["data"]["rows"] == 160
    assert str(options.out) not in json.dumps(record)
    assert not (options.out / "training_args.bin").exists()


def test_a_seed_reproduces_the_model_and_its_new_head(
    finetune_options: MakeOptions, base: Path, tmp_path: Path
) -> None:
    encoder = shutil.copytree(base, tmp_path / "encoder")
    RobertaModel.from_pretrained(base).save_pretrained(encoder)
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for out, seed in ((first, 1), (second, 1), (third, 2)):
        torch.manual_seed(len(out.name))  # other random numbers must not matter
        assert finetune(finetune_options(base=str(encoder), out=out, max_steps=3, seed=seed, augment=True))
    assert equal(first, second)
    assert not equal(first, third)


def test_accumulated_batches_are_averaged(finetune_options: MakeOptions, tmp_path: Path) -> None:
    # Gradient clipping reveals a wrong factor, which AdamW alone would hide.
    same = {"max_steps": 3, "max_grad_norm": 1e-3, "learning_rate": 1e-2, "lower_cased": 0.0}
    one = finetune_options(out=tmp_path / "one", per_device_train_batch_size=16, **same)
    four = finetune_options(out=tmp_path / "four", per_device_train_batch_size=4, gradient_accumulation_steps=4, **same)
    assert finetune(one)
    assert finetune(four)
    assert max(differences(one.out, four.out).values()) < 1e-4


def test_frozen_layers_keep_their_weights(finetune_options: MakeOptions, base: Path, tmp_path: Path) -> None:
    options = finetune_options(freeze_layers=1)
    assert finetune(options)
    moved = differences(base, options.out)
    assert {name for name in moved if not moved[name]} == {
        name for name in moved if "embeddings" in name or "layer.0." in name
    }
    with pytest.raises(ModelBuildError, match="the base has 2 layers: pass fewer to --freeze-layers"):
        finetune(finetune_options(freeze_layers=3, out=tmp_path / "other"))


def test_a_pooler_is_part_of_the_head(bert: Path) -> None:
    model = load(str(bert)).model
    freeze(model, 1)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {"bert.pooler.dense.weight", "classifier.weight"} < trained
    assert level(model, "bert.pooler.dense.bias") == level(model, "classifier.bias") == 3


@pytest.mark.parametrize("option", [{"freeze_layers": 1}, {"layer_decay": 0.9}])
def test_layers_that_cannot_be_told_apart_are_refused(
    finetune_options: MakeOptions, tokenizer: Any, tmp_path: Path, option: dict[str, Any]
) -> None:
    tokenizer.save_pretrained(tmp_path)
    shape = BERT_SHAPE | {"vocab_size": len(tokenizer), "max_position_embeddings": 64}
    AlbertForSequenceClassification(AlbertConfig(**shape)).save_pretrained(tmp_path)  # its layers share weights
    with pytest.raises(ModelBuildError, match="do not know the layers of the model type albert: omit them"):
        finetune(finetune_options(base=str(tmp_path), **option))


def test_lower_layers_learn_more_slowly(finetune_options: MakeOptions, base: Path) -> None:
    constant = {"max_steps": 1, "lr_scheduler_type": "constant", "weight_decay": 0.0, "learning_rate": 1e-3}
    options = finetune_options(layer_decay=0.1, **constant)
    assert finetune(options)
    moved = differences(base, options.out)
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
    write_rows(rows, {"text_sha256": hashlib.sha256(b"hello").hexdigest(), "label": 0}, {"text": "a"})
    options = {"data": [messages, rows], "chat": chat}
    with pytest.raises(ModelBuildError, match=r"rows\.jsonl, line 2: label is None, not 0 or 1"):
        finetune(finetune_options(**options))
    assert finetune(finetune_options(**options, skip_bad_rows=True, max_steps=1))
    printed = capsys.readouterr().out
    assert "skipped: rows.jsonl, line 2: label is None, not 0 or 1\n1 bad rows skipped." in printed
    assert "161 rows to train on" in printed


def test_texts_of_a_source_that_is_left_out_surround_no_others(
    finetune_options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def augmentation(harmless: list[str]) -> Augmentation:
        given.extend(harmless)
        return Augmentation(harmless)

    monkeypatch.setattr(finetune_module, "Augmentation", augmentation)
    rows = [{"text": f"{source}{label}", "label": label, "source": source} for source in "ab" for label in (0, 1)]
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    assert finetune(finetune_options(data=[data], cap=["a=0"], augment=True, max_steps=1))
    assert given == ["b0"]


def test_an_auc_of_zero_is_kept_and_an_unknown_one_is_omitted() -> None:
    wrong = EvalPrediction(predictions=-LOGITS[:2].numpy(), label_ids=LABELS[:2].numpy())
    assert source_aucs(["a", "a"])(wrong) == {"auc": 0.0, "auc_mean_of_sources": 0.0, "auc_a": 0.0}
    assert source_aucs(["a", "b"])(wrong) == {"auc": 0.0}


@pytest.mark.parametrize(
    ("split", "labels", "other", "message"),
    [
        ("train", [1], {}, "both labels, 0 and 1, in split train"),
        ("dev", [1, 0], {}, "both labels, 0 and 1, in split train"),
        ("", [1, 0], {"eval_steps": 5}, "both labels, 0 and 1, in split dev"),
        ("", [1, 0], {"max_length": 96}, "--max-length 96 is more than the 64 tokens the base can read"),
    ],
)
def test_useless_data_and_a_length_above_the_bases_maximum_are_refused(
    finetune_options: MakeOptions, tmp_path: Path, split: str, labels: list[int], other: dict[str, int], message: str
) -> None:
    rows = [{"text": f"text {label}", "label": label, "split": split} for label in labels]
    with pytest.raises(ModelBuildError, match=message):
        finetune(finetune_options(data=[write_rows(tmp_path / "rows.jsonl", *rows)], **other))


@pytest.mark.parametrize(("alpha", "temperature"), [(0.0, 1.0), (1.0, 1.0), (1.0, 4.0), (0.5, 2.0)])
def test_the_loss_combines_smoothed_labels_and_a_teacher(alpha: float, temperature: float) -> None:
    """The loss of Hinton, Vinyals and Dean, for a teacher whose two logits differ by the logit of its probability."""
    smoothed = torch.tensor([[0.95, 0.05], [0.05, 0.95], [0.5, 0.5]])
    hard = -(smoothed * LOGITS.log_softmax(-1)).sum(-1)
    teacher = torch.stack([torch.zeros(3), SOFT.logit()], dim=-1)
    softened = [torch.distributions.Categorical(logits=logits / temperature) for logits in (teacher, LOGITS)]
    taught = temperature**2 * torch.distributions.kl_divergence(*softened)
    weights = torch.tensor([alpha, alpha, 1.0])  # the last text has no label
    expected = ((1 - weights) * hard + weights * taught).mean() if alpha else hard[:2].sum() / 3
    found = Targets(alpha, temperature, smoothing=0.1).loss(LOGITS, LABELS, SOFT)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_a_teacher_probability_of_one_has_a_finite_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = Targets(1.0, 1.0).loss(logits, LABELS, torch.tensor([0.0, 1.0, 1.0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
