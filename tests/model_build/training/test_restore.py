"""A model directory becomes a checkpoint again: what quantizing kept is there, and training goes on from it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import AutoTokenizer, RobertaForSequenceClassification

from model_build.build import build
from model_build.errors import ModelBuildError
from model_build.manifest import SERVED_FILES
from model_build.steps import REFERENCE_TEXTS as TEXTS
from model_build.train import start
from model_build.train.__main__ import main
from model_build.train.finetune import Task, finetune
from model_build.train.restore import restored
from toxicity_bot.classifier import Classifier
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_build.train.run import Run
    from tests.model_build.conftest import Built


def test_every_weight_is_near_the_one_that_was_built(built: Built) -> None:
    model, _ = restored(built.model)
    expected = RobertaForSequenceClassification.from_pretrained(built.checkpoint).state_dict()
    # The one segment was added to the positions, and what lies before the first position is never read.
    segment = expected.pop("roberta.embeddings.token_type_embeddings.weight")
    expected["roberta.embeddings.position_embeddings.weight"] += segment
    expected["roberta.embeddings.position_embeddings.weight"][:2] = 0
    found = model.state_dict()
    assert float(found.pop("roberta.embeddings.token_type_embeddings.weight").abs().max()) == 0
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        bits = 4 if "word_embeddings" in name else 7
        step = float(tensor.abs().max()) / (2 ** (bits - 1) - 1) if tensor.ndim == 2 else 1e-6
        assert float((found[name] - tensor).abs().max()) <= step, name


def test_it_scores_as_the_bot_does(built: Built) -> None:
    model, tokenizer = restored(built.model)
    classifier = Classifier(built.model, threads=1)
    for text in TEXTS:
        with torch.inference_mode():
            found = model.eval()(**tokenizer(fold(text), return_tensors="pt")).logits.softmax(-1)[0, 1]
        assert float(found) == pytest.approx(classifier.toxicity(text), abs=0.03)


def test_its_tokenizer_is_that_of_the_checkpoint(built: Built) -> None:
    _, tokenizer = restored(built.model)
    expected = AutoTokenizer.from_pretrained(built.checkpoint)
    for text in TEXTS:
        assert tokenizer(text)["input_ids"] == expected(text)["input_ids"]
    assert tokenizer.pad_token_id == expected.pad_token_id


def test_training_goes_on_from_what_the_bot_serves(
    built: Built, messages: Path, a_run: Callable[..., Run], tmp_path: Path
) -> None:
    settings = a_run(steps=2, out=tmp_path / "more")
    assert finetune(Task(messages, str(built.model)), settings)
    told = json.loads((settings.out / "training.json").read_text())
    assert told["base"]["name"] == "tiny"
    assert told["base"]["revision"].startswith("sha256:")
    before, after = restored(built.model)[0].state_dict(), start.load(str(settings.out)).model.state_dict()
    moved = {name: float((after[name] - before[name]).abs().max()) for name in after}
    assert moved["classifier.out_proj.weight"] > 0
    # Further away than two steps reach, it would have begun with something else.
    assert max(moved.values()) < 0.05


def test_as_a_checkpoint_it_is_built_into_the_same_files(built: Built, tmp_path: Path) -> None:
    assert main(["restore", str(built.model), "--out", str(tmp_path / "checkpoint")]) == 0
    build(str(tmp_path / "checkpoint"), tmp_path / "model")
    for name in SERVED_FILES:
        assert (tmp_path / "model" / name).read_bytes() == (built.model / name).read_bytes(), name


def test_as_a_teacher_it_must_be_restored_first(
    built: Built, messages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["distill", "--data", str(messages), "--teacher", str(built.model), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "python -m model_build convert" in capsys.readouterr().err


def test_a_damaged_model_directory_is_named(built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(built.model, tmp_path / "model")
    (folder / "model.onnx.data").write_bytes(b"too short")
    assert main(["widen", "--base", str(folder), "--out", str(tmp_path / "wide")]) == 1
    assert "model.onnx.data" in capsys.readouterr().err
    assert not (tmp_path / "wide").exists()


def test_another_activation_is_refused(built: Built, tmp_path: Path) -> None:
    folder = shutil.copytree(built.model, tmp_path / "model")
    described = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(described | {"activation": "sigmoid"}))
    with pytest.raises(ModelBuildError, match="not built from a RoBERTa with exclusive labels"):
        start.load(str(folder))


def test_another_vocabulary_is_refused(built: Built, base: Path) -> None:
    with pytest.raises(ModelBuildError, match="another vocabulary"):
        start.load(str(built.model), tokenizer=str(base))
