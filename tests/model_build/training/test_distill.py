"""Teachers: what they say is kept, averaged and not simply the labels; and what a student learns from it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from transformers import RobertaForSequenceClassification, TrainingArguments

from model_build import data as labelled
from model_build.errors import ModelBuildError
from model_build.source import locate
from model_build.train.distill import NGRAMS, Teachers, averaged, distill
from model_build.train.finetune import Task
from model_build.train.loss import Targets
from model_build.train.ngrams import out_of_fold
from model_build.train.teacher import Teacher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_build.train.run import Run

pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")


@pytest.fixture(scope="module")
def named(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base as a teacher: its labels say which one is toxic, its scores differ from text to text."""
    folder = tmp_path_factory.mktemp("teacher")
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    model = RobertaForSequenceClassification.from_pretrained(
        base, id2label={0: "toxic", 1: "fine"}, label2id={"toxic": 0, "fine": 1}
    )
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


def saved(out: Path) -> list[Any]:
    return [np.load(file) for file in sorted(out.glob("teacher-*.npy"))]


def test_a_student_learns_what_its_teacher_says(
    named: Path, base: Path, messages: Path, a_run: Callable[..., Run]
) -> None:
    settings = a_run(steps=150, rate=3e-3)
    task = Task(messages, str(base), lower_cased=0.0)
    assert distill(task, Teachers((str(named),)), Targets(1.0, 1.0), settings)
    (taught,) = saved(settings.out)
    rows = labelled.read(messages).of_split("train")
    assert taught.shape == (len(rows),)
    student = np.full(len(rows), np.nan, dtype=np.float32)
    assert Teacher(locate(str(settings.out)), cpu=True).fill([row.text for row in rows], student)
    # The teacher is random: agreeing with it is no accident, and not what the labels say.
    assert np.corrcoef(taught, student)[0, 1] > 0.6
    assert abs(np.corrcoef(taught, [row.label for row in rows])[0, 1]) < 0.5
    told = json.loads((settings.out / "training.json").read_text())
    assert told["stage"] == "distill"
    assert told["teaching"]["teachers"] == [[f"local folder {named.name}", next(settings.out.glob("teacher-*")).stem]]


def test_the_teachers_label_is_found_by_its_name(named: Path) -> None:
    source = locate(str(named))
    texts = ["the code", "you idiot", "a test of this release"]
    by_name, other = (np.full(3, np.nan, dtype=np.float32) for _ in range(2))
    assert Teacher(source, cpu=True).fill(texts, by_name)
    assert Teacher(source, ("fine",), cpu=True).fill(texts, other)
    assert by_name + other == pytest.approx(np.ones(3), abs=1e-6)


def test_a_teacher_that_runs_out_of_time_goes_on_later(named: Path) -> None:
    teacher = Teacher(locate(str(named)), cpu=True)
    texts = [f"text {place}" for place in range(100)]
    found = np.full(100, np.nan, dtype=np.float32)
    assert not teacher.fill(texts, found, until=0.0)
    first = found.copy()
    assert np.isnan(first).sum() == 100 - 64
    assert teacher.fill(texts, found)
    assert not np.isnan(found).any()
    assert np.array_equal(found[~np.isnan(first)], first[~np.isnan(first)])


def test_a_teacher_is_asked_once(
    named: Path, base: Path, messages: Path, a_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = a_run(steps=1, minutes=1e-6)
    task, teachers = Task(messages, str(base)), Teachers((str(named), NGRAMS))
    assert not distill(task, teachers, Targets(), settings)
    settings = replace(settings, minutes=0.0)
    assert distill(task, teachers, Targets(), settings)
    first = saved(settings.out)
    assert len(first) == 2

    def asked_again(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(Teacher, "fill", asked_again)
    monkeypatch.setattr("model_build.train.ngrams.out_of_fold", asked_again)
    assert distill(task, teachers, Targets(), settings)
    assert all(np.array_equal(before, after) for before, after in zip(first, saved(settings.out), strict=True))


def test_a_teacher_that_is_named_twice_speaks_once(base: Path, messages: Path, a_run: Callable[..., Run]) -> None:
    settings = a_run(steps=1)
    assert distill(Task(messages, str(base)), Teachers((NGRAMS, NGRAMS)), Targets(), settings)
    told = json.loads((settings.out / "training.json").read_text())
    assert [name for name, _ in told["teaching"]["teachers"]] == [NGRAMS]


def test_two_teachers_of_one_name_are_both_recorded(
    named: Path, base: Path, messages: Path, a_run: Callable[..., Run], tmp_path: Path
) -> None:
    other = shutil.copytree(named, tmp_path / named.name)
    model = RobertaForSequenceClassification.from_pretrained(named)
    torch.nn.init.ones_(model.classifier.out_proj.bias)
    model.save_pretrained(other)
    settings = a_run(steps=1)
    assert distill(Task(messages, str(base)), Teachers((str(named), str(other))), Targets(), settings)
    told = json.loads((settings.out / "training.json").read_text())["teaching"]["teachers"]
    assert [name for name, _ in told] == [f"local folder {named.name}"] * 2
    assert len({file for _, file in told}) == 2


def test_only_one_process_judges(
    named: Path, base: Path, messages: Path, a_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = a_run(steps=1)
    asked: list[str] = []
    monkeypatch.setattr("model_build.train.distill._judge", lambda name, *_: asked.append(name))
    monkeypatch.setattr(TrainingArguments, "process_index", 1)
    assert not distill(Task(messages, str(base)), Teachers((str(named),)), Targets(), settings)
    assert asked == []


def test_data_that_is_not_there(base: Path, a_run: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match=r"none\.jsonl cannot be read"):
        distill(Task(tmp_path / "none.jsonl", str(base)), Teachers((NGRAMS,)), Targets(), a_run())


def test_a_teacher_reads_as_much_of_a_text_as_it_can(named: Path) -> None:
    found = np.full(1, np.nan, dtype=np.float32)
    assert Teacher(locate(str(named)), cpu=True).fill(["the code is nice " * 100], found)
    assert 0 < found[0] < 1


def test_several_teachers_speak_with_the_mean_of_their_logits() -> None:
    first, second = (np.array(values, dtype=np.float32) for values in ([0.5, 0.9, 1.0], [0.5, 0.1, 1.0]))
    assert averaged([first, second]) == pytest.approx([0.5, 0.5, 0.9999], abs=1e-5)
    assert averaged([first]) == pytest.approx([0.5, 0.9, 0.9999], abs=1e-5)


def test_ngrams_judge_texts_that_they_have_not_seen(sentences: Callable[..., list[tuple[str, int]]]) -> None:
    texts, labels = (list(column) for column in zip(*sentences(200, seed=6), strict=True))
    learnt = out_of_fold(texts, labels, seed=1)
    assert ((learnt > 0.5) == np.array(labels)).mean() > 0.95
    # One label is wrong: a model that had seen it would repeat it.
    labels[3] = 1 - labels[3]
    again = out_of_fold(texts, labels, seed=1)
    assert (again[3] > 0.5) == (learnt[3] > 0.5)
    # Labels at random teach nothing about other texts, not even about a text's twin.
    chance = np.random.default_rng(1).integers(0, 2, len(texts))
    twins = out_of_fold([*texts, *(text.upper() for text in texts)], [*chance, *chance], seed=1)
    assert abs(((twins > 0.5) == np.concatenate([chance, chance])).mean() - 0.5) < 0.15


def test_too_few_texts_for_folds() -> None:
    with pytest.raises(ModelBuildError, match="2 different texts are too few for 5 folds"):
        out_of_fold(["a", "b", "A"], [0, 1, 0], seed=1)
