"""Scoring with PyTorch: labels, windows, and teachers that are interrupted and resumed."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    CamembertConfig,
    ElectraConfig,
    RobertaForSequenceClassification,
    XLNetConfig,
)

from model_build.errors import ModelBuildError
from model_build.manifest import REFERENCE_TEXTS
from model_build.source import Source, locate
from model_build.torch_model import CPU_BATCH, TorchModel
from tests.model_build.conftest import ROBERTA_SHAPE, edit_json
from toxicity_bot.message_text import fold


@pytest.fixture(scope="module")
def source(checkpoint: Path) -> Source:
    return locate(str(checkpoint))


@pytest.mark.parametrize(
    ("problem", "activation"), [("single_label_classification", "softmax"), ("multi_label_classification", "sigmoid")]
)
def test_scores_match_transformers(checkpoint: Path, tmp_path: Path, problem: str, activation: str) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    edit_json(folder / "config.json", problem_type=problem)
    module = RobertaForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = TorchModel(locate(str(folder)), temperature=2.0)
    assert found.activation == activation
    for text, score in zip(REFERENCE_TEXTS, found.toxicities(REFERENCE_TEXTS), strict=True):
        with torch.inference_mode():
            logits = module(**tokenizer(fold(text), return_tensors="pt")).logits / 2
        expected = logits.softmax(-1) if activation == "softmax" else logits.sigmoid()
        assert score == pytest.approx(float(expected[0, 1]), abs=1e-5)


def test_texts_longer_than_the_window_are_detected(source: Source) -> None:
    model = TorchModel(source, window=8)
    assert (model.fits("ok"), model.fits("ok " * 50)) == (True, False)
    assert TorchModel(source).max_length == 64


@pytest.mark.parametrize(
    ("kind", "shape", "positions"),
    [
        (CamembertConfig, ROBERTA_SHAPE, 64),
        (CamembertConfig, ROBERTA_SHAPE | {"pad_token_id": 0}, 65),
        # As in ModernBERT, the padding id is above the number of positions, which are not numbered from it.
        (ElectraConfig, ROBERTA_SHAPE | {"pad_token_id": 400}, 66),
        (XLNetConfig, {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}, 512),
    ],
)
def test_an_architecture_that_cannot_be_built_can_be_a_teacher(
    checkpoint: Path, tmp_path: Path, kind: Any, shape: dict[str, int], positions: int
) -> None:
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(tmp_path)
    labels = {"id2label": {0: "fine", 1: "toxic"}, "label2id": {"fine": 0, "toxic": 1}}
    config = kind(vocab_size=500, **shape, **labels)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    source = locate(str(tmp_path))
    with pytest.raises(ModelBuildError, match=f"is a {config.model_type}, but only roberta, bert, distilbert, mpnet"):
        TorchModel(source)
    teacher = TorchModel(source, as_teacher=True)
    assert teacher.max_length == positions
    short, long = teacher.toxicities(["ok", "this is much longer than the model can read " * 50])
    assert 0 < short < 1
    assert 0 < long < 1


def test_an_interrupted_teacher_resumes_unless_its_scores_are_nan(source: Source) -> None:
    teacher = TorchModel(source, as_teacher=True)
    texts = [f"text {number}" for number in range(40)]
    scores = np.full(len(texts), np.nan, dtype=np.float32)
    teacher.fill(texts, scores, until=0.0)
    first = scores.copy()
    assert np.isnan(first).sum() == len(texts) - CPU_BATCH
    teacher.fill(texts, scores, progress="teacher")
    assert not np.isnan(scores).any()
    known = ~np.isnan(first)
    assert np.array_equal(scores[known], first[known])
    torch.nn.init.constant_(teacher.module.classifier.out_proj.bias, float("nan"))
    with pytest.raises(ModelBuildError, match=f"{source.name} gives a text the score NaN"):
        teacher.toxicities(texts)
