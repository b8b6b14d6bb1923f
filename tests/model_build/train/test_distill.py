"""Distillation: teachers score once, their scores are averaged, and the student learns from them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import RobertaForSequenceClassification, TrainingArguments

from model_build import data as labelled
from model_build.errors import ModelBuildError
from model_build.ngrams import out_of_fold
from model_build.source import locate
from model_build.torch_model import TorchModel
from model_build.train import distill as distill_module
from model_build.train.cli import DistillOptions
from model_build.train.distill import NGRAMS, averaged, distill
from tests.model_build.conftest import read_json
from tests.model_build.train.conftest import BRIEFLY, WORDS, sentences, weights

MakeOptions = Callable[..., DistillOptions]


@pytest.fixture(scope="module")
def teacher(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base with other random weights, recognizable toxic labels and varied scores."""
    folder = shutil.copytree(base, tmp_path_factory.mktemp("models") / "teacher")
    model = RobertaForSequenceClassification.from_pretrained(
        base, id2label={0: "toxic", 1: "fine"}, label2id={"toxic": 0, "fine": 1}
    )
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def options(messages: Path, base: Path, teacher: Path, tmp_path: Path) -> MakeOptions:
    given = BRIEFLY | {"out": tmp_path / "out", "data": [messages], "base": str(base), "max_steps": 1}
    return lambda *names, **other: DistillOptions(**given | {"teacher": list(names) or [str(teacher)]} | other)


def saved(out: Path) -> list[Any]:
    return [np.load(file) for file in sorted(out.glob("teacher-*.npy"))]


def test_a_student_learns_its_teachers_scores(options: MakeOptions, teacher: Path, messages: Path) -> None:
    asked = options(max_steps=150, learning_rate=3e-3, lower_cased=0.0, distill_alpha=1.0, temperature=1.0)
    assert distill(asked)
    (scores,) = saved(asked.out)
    rows = labelled.read(messages).of_split("train")
    assert scores.shape == (len(rows),)
    student = TorchModel(locate(str(asked.out))).toxicities([row.text for row in rows])
    # The teacher is random, so agreement shows that the student learned from it.
    assert np.corrcoef(scores, student)[0, 1] > 0.6
    assert abs(np.corrcoef(scores, [row.label for row in rows])[0, 1]) < 0.5
    record = read_json(asked.out / "training.json")
    assert record["stage"] == "distill"
    assert record["teachers"] == [[f"local folder {teacher.name}", next(asked.out.glob("teacher-*")).stem]]


def test_unlabelled_texts_are_learned_from_the_teacher_alone(
    options: MakeOptions, base: Path, tokenizer: Any, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("7\n7 7\n")
    constant = {"lr_scheduler_type": "constant", "weight_decay": 0.0}
    asked = options(unlabelled=[str(tmp_path / "texts.txt")], cap=["a=1", "b=1"], **constant)
    assert distill(asked)
    (scores,) = saved(asked.out)
    assert len(scores) == 2 * 2 + 2  # two sources, two labels
    assert not np.isnan(scores).any()
    assert read_json(asked.out / "training.json")["unlabelled"] == 2
    # Without weight decay, only tokens that were trained on move.
    moved = (weights(asked.out)[WORDS] - weights(base)[WORDS]).abs().amax(1)
    seven, eight = tokenizer.convert_tokens_to_ids(["7", "8"])
    assert moved[seven] > 1e-3
    assert moved[eight] == 0
    with pytest.raises(ModelBuildError, match="with --distill-alpha 0, nothing is learned from texts without labels"):
        distill(replace(asked, distill_alpha=0.0))


def test_only_the_rows_of_an_epoch_are_scored_and_only_once(options: MakeOptions) -> None:
    asked = options(cap=["a=5", "b=5"], times=["a=3", "b=3"])
    assert distill(asked)
    (scores,) = saved(asked.out)
    assert len(scores) == 2 * 2 * 5  # two sources, two labels
    assert read_json(asked.out / "training.json")["data"]["in_an_epoch"] == 3 * len(scores)


def test_a_teacher_scores_once_and_two_teachers_with_the_same_name_are_recorded(
    options: MakeOptions, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copytree(teacher, tmp_path / teacher.name)
    model = RobertaForSequenceClassification.from_pretrained(teacher)
    torch.nn.init.ones_(model.classifier.out_proj.bias)
    model.save_pretrained(other)
    asked = options(str(teacher), str(other), NGRAMS, max_minutes=1e-6)
    assert not distill(asked)
    asked = replace(asked, max_minutes=0.0)
    assert distill(asked)
    first = saved(asked.out)
    assert len(first) == 3
    recorded = read_json(asked.out / "training.json")["teachers"]
    assert [name for name, _ in recorded] == [f"local folder {teacher.name}"] * 2 + [NGRAMS]
    assert len({file for _, file in recorded}) == 3

    def asked_again(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(TorchModel, "fill", asked_again)
    monkeypatch.setattr(distill_module, "out_of_fold", asked_again)
    assert distill(asked)
    assert all(np.array_equal(before, after) for before, after in zip(first, saved(asked.out), strict=True))


def test_other_options_are_refused_before_a_teacher_scores(options: MakeOptions) -> None:
    asked = options()
    assert distill(asked)
    before = sorted(asked.out.rglob("*"))
    with pytest.raises(ModelBuildError, match="a run with another seed, temperature: pass the values of that run"):
        distill(replace(asked, seed=2, temperature=3.0))
    assert sorted(asked.out.rglob("*")) == before


def test_only_one_process_runs_the_teachers(options: MakeOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(distill_module, "_score", lambda name, *_: asked.append(name))
    monkeypatch.setattr(TrainingArguments, "process_index", 1)
    assert not distill(options())
    assert asked == []


def test_the_ngram_teacher_needs_labels_and_a_base_and_the_base_defaults_to_a_teacher(
    options: MakeOptions, teacher: Path, text_files: list[str]
) -> None:
    with pytest.raises(ModelBuildError, match="needs labels"):
        distill(options(NGRAMS, unlabelled=text_files))
    with pytest.raises(ModelBuildError, match="the n-gram teacher has no layers to start from: pass --base"):
        distill(options(NGRAMS, base=""))
    with pytest.raises(ModelBuildError, match=f"{teacher.name} has the labels toxic and fine"):
        distill(options(base=""))


def test_the_logits_of_teachers_are_averaged() -> None:
    first, second = (np.array(values, dtype=np.float32) for values in ([0.5, 0.9, 1.0], [0.5, 0.1, 1.0]))
    assert averaged([first, second]) == pytest.approx([0.5, 0.5, 0.9999], abs=1e-5)
    assert averaged([first]) == pytest.approx([0.5, 0.9, 0.9999], abs=1e-5)


def test_ngram_scores_come_from_models_that_have_not_seen_the_text() -> None:
    texts, labels = (list(column) for column in zip(*sentences(200, seed=6), strict=True))
    scores = out_of_fold(texts, labels, seed=1)
    assert ((scores > 0.5) == np.array(labels)).mean() > 0.95
    # A model that had seen a wrong label would repeat it.
    labels[3] = 1 - labels[3]
    again = out_of_fold(texts, labels, seed=1)
    assert (again[3] > 0.5) == (scores[3] > 0.5)
    # Random labels must not help with other texts, not even with the same text in capitals.
    random = np.random.default_rng(1).integers(0, 2, len(texts))
    twins = out_of_fold([*texts, *(text.upper() for text in texts)], [*random, *random], seed=1)
    assert abs(((twins > 0.5) == np.concatenate([random, random])).mean() - 0.5) < 0.15
    with pytest.raises(ModelBuildError, match="2 different texts are too few for 5 folds"):
        out_of_fold(["a", "b", "A"], [0, 1, 0], seed=1)
    with pytest.raises(ModelBuildError, match="too few different texts of one label for 5 folds"):
        out_of_fold(texts[:9], [1, *[0] * 8], seed=1)
