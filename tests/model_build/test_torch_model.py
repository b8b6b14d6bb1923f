"""Scoring with PyTorch: labels, windows, and teachers that stop and continue."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoTokenizer,
    CamembertConfig,
    CamembertForSequenceClassification,
    RobertaForSequenceClassification,
)

from model_build.errors import ModelBuildError
from model_build.manifest import REFERENCE_TEXTS
from model_build.source import Source, locate
from model_build.torch_model import CPU_BATCH, TorchModel
from toxicity_bot.message_text import fold

NAN = float("nan")


@pytest.fixture(scope="module")
def source(checkpoint: Path) -> Source:
    return locate(str(checkpoint))


@pytest.fixture(scope="module")
def other_architecture(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A classifier that cannot be built, but can teach."""
    folder = tmp_path_factory.mktemp("camembert")
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(folder)
    size = {"vocab_size": 500, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CamembertConfig(**size, intermediate_size=64, max_position_embeddings=66, pad_token_id=1)
    config.id2label, config.label2id = {0: "fine", 1: "toxic"}, {"fine": 0, "toxic": 1}
    CamembertForSequenceClassification(config).save_pretrained(folder)
    return locate(str(folder))


def test_scores_are_those_of_transformers(source: Source) -> None:
    module = RobertaForSequenceClassification.from_pretrained(source.folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(source.folder)
    found = TorchModel(source, temperature=2.0).toxicities(REFERENCE_TEXTS)
    for text, score in zip(REFERENCE_TEXTS, found, strict=True):
        with torch.inference_mode():
            logits = module(**tokenizer(fold(text), return_tensors="pt")).logits
        assert score == pytest.approx(float((logits / 2).softmax(-1)[0, 1]), abs=1e-5)


def test_the_toxic_label_is_found_by_its_name_or_given(source: Source) -> None:
    by_name, other = TorchModel(source), TorchModel(source, ("NOT_TOXIC",))
    assert (by_name.toxic_labels, other.toxic_labels) == (["TOXIC"], ["NOT_TOXIC"])
    sums = np.array(by_name.toxicities(REFERENCE_TEXTS)) + np.array(other.toxicities(REFERENCE_TEXTS))
    assert sums == pytest.approx(np.ones(len(REFERENCE_TEXTS)), abs=1e-6)


def test_labels_that_do_not_exclude_each_other_have_sigmoids(source: Source, tmp_path: Path) -> None:
    folder = shutil.copytree(source.folder, tmp_path / "several")
    config = TorchModel(source).config
    config.problem_type = "multi_label_classification"
    config.save_pretrained(folder)
    model = TorchModel(locate(str(folder)))
    with torch.inference_mode():
        logits = model.module(**model.tokenizer(fold(REFERENCE_TEXTS[0]), return_tensors="pt")).logits
    assert model.activation == "sigmoid"
    assert model.toxicities(REFERENCE_TEXTS[:1]) == pytest.approx([float(logits.sigmoid()[0, 1])], abs=1e-5)


def test_a_text_fits_into_the_window_or_not(source: Source) -> None:
    model = TorchModel(source, window=8)
    assert (model.fits("ok"), model.fits("ok " * 50)) == (True, False)
    assert TorchModel(source).max_length == 64


def test_an_architecture_that_cannot_be_built_can_teach(other_architecture: Source) -> None:
    with pytest.raises(ModelBuildError, match="is a camembert; roberta, bert, distilbert, mpnet can be built"):
        TorchModel(other_architecture)
    teacher = TorchModel(other_architecture, as_teacher=True)
    short, long = teacher.toxicities(["ok", "this is much longer than the model can read " * 50])
    assert 0 < short < 1
    assert 0 < long < 1


def test_a_teacher_that_stops_continues_later(source: Source) -> None:
    teacher = TorchModel(source, as_teacher=True)
    texts = [f"text {number}" for number in range(40)]
    scores = np.full(len(texts), NAN, dtype=np.float32)
    teacher.fill(texts, scores, until=0.0)
    first = scores.copy()
    assert np.isnan(first).sum() == len(texts) - CPU_BATCH
    teacher.fill(texts, scores, progress="teacher")
    assert not np.isnan(scores).any()
    known = ~np.isnan(first)
    assert np.array_equal(scores[known], first[known])
