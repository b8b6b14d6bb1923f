"""What a stage begins with: heads, layers and tokenizers that fit, and those that do not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    RobertaForSequenceClassification,
)

from model_build.errors import ModelBuildError
from model_build.train import start, words

if TYPE_CHECKING:
    from pathlib import Path


def test_a_student_begins_with_layers_of_its_base(base: Path) -> None:
    whole, student = start.load(str(base)), start.load(str(base), layers=(1,))
    assert student.model.config.num_hidden_layers == len(student.model.roberta.encoder.layer) == 1
    expected = {
        name.replace("layer.1.", "layer.0."): tensor
        for name, tensor in whole.model.state_dict().items()
        if "layer.0." not in name
    }
    found = student.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_a_shortened_student_is_saved_and_read_again(base: Path, tmp_path: Path) -> None:
    student = start.load(str(base), layers=(1,)).model.eval()
    student.save_pretrained(tmp_path)
    again = RobertaForSequenceClassification.from_pretrained(tmp_path).eval()
    ids = torch.tensor([[0, 7, 9, 2]])
    with torch.inference_mode():
        assert torch.equal(student(ids).logits, again(ids).logits)


def test_layers_of_a_distilbert() -> None:
    config = DistilBertConfig(vocab_size=50, dim=32, n_layers=3, n_heads=2, hidden_dim=64, max_position_embeddings=32)
    model = DistilBertForSequenceClassification(config)
    start.keep_layers(model, (0, 2))
    assert len(model.distilbert.transformer.layer) == model.config.n_layers == 2


def test_a_layer_that_the_base_does_not_have(base: Path) -> None:
    with pytest.raises(ModelBuildError, match="the base has the layers 0 to 1, not 4"):
        start.load(str(base), layers=(0, 4))


def test_a_classifier_of_other_labels_gets_a_new_head(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "three")
    three = RobertaForSequenceClassification.from_pretrained(base, num_labels=3, ignore_mismatched_sizes=True)
    three.save_pretrained(folder)
    begun = start.load(str(folder))
    assert begun.model.config.id2label == {0: "NOT_TOXIC", 1: "TOXIC"}
    assert begun.model(torch.tensor([[0, 7, 2]])).logits.shape == (1, 2)
    assert begun.origin["revision"].startswith("sha256:")
    assert str(tmp_path) not in str(begun.origin)


def test_labels_of_which_several_may_hold_become_exclusive(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "several")
    config = AutoConfig.from_pretrained(base, problem_type="multi_label_classification")
    config.save_pretrained(folder)
    assert start.load(str(folder)).model.config.problem_type == "single_label_classification"


@pytest.mark.parametrize(
    ("labels", "refused"),
    [
        (("toxic", "fine"), True),
        (("toxic", "insult"), True),
        (("fine", "toxic"), False),
        (("not_toxic", "other"), False),
    ],
)
def test_a_head_whose_first_label_is_toxic_would_begin_inverted(
    base: Path, tmp_path: Path, labels: tuple[str, str], refused: bool
) -> None:
    folder = shutil.copytree(base, tmp_path / "named")
    config = AutoConfig.from_pretrained(base, id2label=dict(enumerate(labels)))
    config.save_pretrained(folder)
    if not refused:
        assert start.load(str(folder)).model.config.id2label == {0: "NOT_TOXIC", 1: "TOXIC"}
        return
    with pytest.raises(ModelBuildError, match=f"has the labels {labels[0]} and {labels[1]}, and training takes the"):
        start.load(str(folder))


def test_a_folder_without_a_tokenizer(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match=f"{tmp_path} has no tokenizer that can be read"):
        start.load(str(base), tokenizer=str(tmp_path))


def test_a_tokenizers_checksum_is_not_that_of_its_settings(base: Path) -> None:
    begun = start.load(str(base))
    before = begun.tokenizer_sha256()
    begun.tokenizer(["the code", "a test of this"], truncation=True, max_length=3, padding=True)
    assert begun.tokenizer_sha256() == before
    begun.tokenizer.add_tokens(["release"])
    assert begun.tokenizer_sha256() != before


def test_another_vocabulary_is_refused(base: Path, tmp_path: Path) -> None:
    words.train(["other words than those of the base, other words"], 300).save_pretrained(tmp_path)
    with pytest.raises(ModelBuildError, match="trained with another vocabulary"):
        start.load(str(base), tokenizer=str(tmp_path))
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path)
    assert start.load(str(base), tokenizer=str(tmp_path)).model.config.hidden_size == 32
