"""Distillation: labelled messages, a base and one teacher or more come in, a classifier that learnt from both comes
out.

A teacher judges the rows of split train once; what it says is kept in the run's folder. Soft targets are those of
Hinton, Vinyals and Dean (2015, https://arxiv.org/abs/1503.02531); several teachers speak with the mean of their
logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model_build import data as labelled
from model_build.source import locate
from model_build.train import record, run
from model_build.train.finetune import Task, Teaching, finetune
from model_build.train.loss import LEAST, Targets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.data import Row
    from model_build.train.run import Run

NGRAMS = "ngrams"  # as a teacher: the linear model, which needs no checkpoint


@dataclass(frozen=True)
class Teachers:
    """Hub ids, folders or `ngrams`, each once; `toxic_labels` names the toxic labels, where their names do not."""

    names: tuple[str, ...]
    toxic_labels: tuple[str, ...] = ()


def distill(task: Task, teachers: Teachers, targets: Targets, settings: Run) -> bool:
    """Train and return whether all steps are done; False as well where time was over before the teachers had judged.

    Raises ModelBuildError as `finetune` does, and if a teacher's labels do not say which are toxic.
    """
    data = labelled.checksum(task.data)
    files = {name: settings.out / f"teacher-{_key(name, teachers, data, settings)}.npy" for name in teachers.names}

    def judge(rows: Sequence[Row]) -> None:
        for name, file in files.items():
            _judge(name, teachers, rows, file, settings)

    def probabilities() -> npt.NDArray[np.float32] | None:
        each = [np.load(file) for file in files.values() if file.is_file()]
        whole = len(each) == len(files) and not any(np.isnan(found).any() for found in each)
        return averaged(each) if whole else None

    described = {
        "teachers": [[_shown(name), file.stem] for name, file in files.items()],
        "soft_share": targets.soft_share,
        "temperature": targets.temperature,
    }
    return finetune(task, settings, Teaching(judge, probabilities, targets, described))


def averaged(each: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Return the probabilities, (rows,), whose logits are the mean of those of each teacher."""
    kept = np.clip(np.stack(each).astype(np.float64), LEAST, 1 - LEAST)
    mean = np.mean(np.log(kept) - np.log1p(-kept), axis=0)
    return (1 / (1 + np.exp(-mean))).astype(np.float32)  # type: ignore[no-any-return]


def _judge(name: str, teachers: Teachers, rows: Sequence[Row], file: Path, settings: Run) -> None:
    """Put a teacher's probabilities into its file, NaN where time was over; what is there already stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        blank = file.with_name(f".{file.name}.new")
        with blank.open("wb") as opened:
            np.save(opened, np.full(len(rows), np.nan, dtype=np.float32))
        blank.replace(file)
    found = np.lib.format.open_memmap(file, mode="r+")
    if not np.isnan(found).any():
        return
    run.say(f"{len(rows):,} rows for a teacher, once.")
    if name == NGRAMS:
        from model_build.train.ngrams import out_of_fold

        found[:] = out_of_fold([row.text for row in rows], [row.label for row in rows], settings.seed)
    else:
        from model_build.train.teacher import Teacher

        teacher = Teacher(locate(name), teachers.toxic_labels, cpu=settings.cpu)
        teacher.fill([row.text for row in rows], found, settings.until)
    found.flush()


def _key(name: str, teachers: Teachers, data: str, settings: Run) -> str:
    if name == NGRAMS:
        return record.key({"teacher": NGRAMS, "data": data, "seed": settings.seed})
    return record.key({"teacher": locate(name).revision, "data": data, "toxic": teachers.toxic_labels})


def _shown(name: str) -> str:
    """Return what a teacher is called in a record: a folder by its name alone."""
    return name if name == NGRAMS else locate(name).name
