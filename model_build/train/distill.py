"""Distillation: train a classifier on labelled messages and on the probabilities of one or more teachers.

A teacher is any sequence classifier, or a linear model of n-grams. Each teacher scores the rows of split `train` once,
and its scores are stored in the run's folder. With several teachers, their logits are averaged. For texts without
labels, the loss uses only the teachers' probabilities.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from model_build import data as labelled
from model_build.data import Row
from model_build.errors import ModelBuildError
from model_build.ngrams import out_of_fold
from model_build.source import locate
from model_build.torch_model import TorchModel
from model_build.train import corpus, trainer
from model_build.train.finetune import MIN_PROBABILITY, UNLABELLED, Distillation, Targets, finetune

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.train.cli import DistillOptions

NGRAMS = "ngrams"  # names the teacher that is a linear model, not a checkpoint


def distill(options: DistillOptions) -> bool:
    """Train, and return whether all steps are done. Also False if the time ran out before the teachers had finished.

    Raises ModelBuildError as `finetune` does, and if the toxic labels of a teacher cannot be told from their names.
    """
    paths = corpus.files(options.unlabelled)
    if paths and NGRAMS in options.teacher:
        raise ModelBuildError("the n-gram teacher needs labels: omit either it or --unlabelled")
    if paths and not options.distill_alpha:
        raise ModelBuildError("with --distill-alpha 0, nothing is learned from texts without labels: omit --unlabelled")
    base = options.base or next((name for name in options.teacher if name != NGRAMS), "")
    if not base:
        raise ModelBuildError("the n-gram teacher has no layers to start from: pass --base")
    unlabelled = [
        Row(text=text, label=UNLABELLED, source="unlabelled", split="train")
        for text in corpus.texts(paths, skip_bad_rows=options.skip_bad_rows)
    ]
    checksums = [labelled.checksum(*files) for files in (options.data, paths) if files]
    drawn = {"cap": options.cap, "times": options.times, "seed": options.seed, "max_length": options.max_length}
    scored = trainer.key({"data": checksums} | drawn)
    toxic = tuple(name.strip() for name in options.toxic_labels.split(",") if name.strip())
    files = {name: options.out / f"teacher-{_key(name, toxic, scored)}.npy" for name in options.teacher}

    def probabilities(rows: Sequence[Row], *, is_main: bool) -> npt.NDArray[np.float32] | None:
        if is_main:
            for name, file in files.items():
                _score(name, toxic, rows, file, options)
        each = [np.load(file) for file in files.values() if file.is_file()]
        complete = len(each) == len(files) and not any(np.isnan(scores).any() for scores in each)
        return averaged(each) if complete else None

    targets = Targets(options.distill_alpha, options.temperature, options.label_smoothing_factor)
    described = {
        "unlabelled": len(unlabelled),
        "teachers": [[name if name == NGRAMS else locate(name).name, file.stem] for name, file in files.items()],
    }
    return finetune(replace(options, base=base), Distillation(probabilities, targets, described, unlabelled))


def averaged(each: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Average the teachers in logit space; return the probabilities, shape (rows,)."""
    kept = np.clip(np.stack(each).astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    mean = np.mean(np.log(kept) - np.log1p(-kept), axis=0)
    return (1 / (1 + np.exp(-mean))).astype(np.float32)  # type: ignore[no-any-return]


def _score(name: str, toxic: Sequence[str], rows: Sequence[Row], file: Path, options: DistillOptions) -> None:
    """Fill in the missing probabilities in a teacher's file. Rows stay NaN if the time runs out."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name("new.npy")
        np.save(temporary, np.full(len(rows), np.nan, dtype=np.float32))
        temporary.replace(file)
    scores = np.lib.format.open_memmap(file, mode="r+")
    if not np.isnan(scores).any():
        return
    trainer.log(f"Scoring {len(rows):,} rows with a teacher. A resumed run reuses the scores.")
    if name == NGRAMS:
        scores[:] = out_of_fold([row.text for row in rows], [row.label for row in rows], options.seed)
    else:
        device = "cuda" if torch.cuda.is_available() and not options.use_cpu else "cpu"
        # The teacher reads as many tokens as the student.
        teacher = TorchModel(locate(name), toxic, window=options.max_length, as_teacher=True, device=device)
        if options.bf16:  # autocast would convert the weights for every batch
            teacher.module.bfloat16()
        teacher.fill([row.text for row in rows], scores, options.until, progress="teacher")
    scores.flush()


def _key(name: str, toxic: Sequence[str], scored: str) -> str:
    return trainer.key({"teacher": name if name == NGRAMS else locate(name).revision, "rows": scored, "toxic": toxic})
