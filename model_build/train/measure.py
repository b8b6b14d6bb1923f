"""A checkpoint and labelled rows come in, how well and how fast it judges them comes out: as it is, and quantized.

The quantized form is what `python -m model_build` makes of it, judged by the code that serves it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from model_build.build import build
from model_build.errors import ModelBuildError
from model_build.manifest import SERVED_FILES
from model_build.source import locate
from model_build.train.progress import source_aucs
from model_build.train.teacher import Teacher
from toxicity_bot.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.data import Row

FALSE_POSITIVE_RATES = {"tpr_at_fpr_1e-2": 1e-2, "tpr_at_fpr_1e-3": 1e-3}
TIMED, WARM_UP = 100, 5  # texts, one at a time


def quality(rows: Sequence[Row], scores: npt.NDArray[Any]) -> dict[str, float]:
    """Return how scores, (rows,), rank toxic above harmless: the mean of the sources' AUC, that of all, and rates."""
    labels = np.array([row.label for row in rows])
    aucs = source_aucs(labels, np.asarray(scores, dtype=np.float64), [row.source for row in rows])
    return {
        "mean_source_auc": aucs["auc_mean_of_sources"],
        "auc": aucs["auc"],
        **{name: true_positive_rate(labels, scores, rate) for name, rate in FALSE_POSITIVE_RATES.items()},
    }


def true_positive_rate(labels: npt.NDArray[Any], scores: npt.NDArray[Any], false_positive_rate: float) -> float:
    """Return the largest share of toxic texts above a threshold that no more than this share of the others exceed."""
    others = np.sort(scores[labels == 0])[::-1]
    threshold = others[int(false_positive_rate * len(others))]
    return float((scores[labels == 1] > threshold).mean())


def of_checkpoint(folder: Path, rows: Sequence[Row], *, cpu: bool) -> dict[str, float]:
    """Return the quality of a checkpoint at full precision."""
    return quality(rows, _scores(Teacher(locate(str(folder)), cpu=cpu), [row.text for row in rows]))


def at_full_precision(folder: Path, rows: Sequence[Row]) -> dict[str, float]:
    """Return quality, megabytes and milliseconds of a checkpoint in PyTorch, on the CPU."""
    teacher = Teacher(locate(str(folder)), cpu=True)
    texts = [row.text for row in rows]
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return {
        **quality(rows, _scores(teacher, texts)),
        "megabytes": size / 1e6,
        "milliseconds": _milliseconds(lambda text: _scores(teacher, [text]), texts),
    }


def quantized(folder: Path, rows: Sequence[Row], work: Path) -> dict[str, float]:
    """Return the same of the model directory that is built from the checkpoint, into `work`.

    Raises ModelBuildError if it cannot be built.
    """
    build(str(folder), work)
    classifier = Classifier(work)
    scores = np.array([classifier.toxicity(row.text) for row in rows])
    size = sum((work / name).stat().st_size for name in SERVED_FILES if (work / name).is_file())
    return {
        **quality(rows, scores),
        "megabytes": size / 1e6,
        "milliseconds": _milliseconds(classifier.toxicity, [row.text for row in rows]),
    }


def serving(teacher: Path, student: Path, rows: Sequence[Row], work: Path) -> list[dict[str, Any]]:
    """Return size, time and quality with neither, either and both of distilling and quantizing, built in `work`."""
    return [
        {"name": "neither", **at_full_precision(teacher, rows)},
        {"name": "quantization alone", **_quantized_or_refused(teacher, rows, work / "teacher-quantized")},
        {"name": "distillation alone", **at_full_precision(student, rows)},
        {"name": "both", **_quantized_or_refused(student, rows, work / "student-quantized")},
    ]


def _quantized_or_refused(folder: Path, rows: Sequence[Row], work: Path) -> dict[str, Any]:
    """Return what `quantized` does, or why the build refuses the result, as it may after a short training."""
    try:
        return dict(quantized(folder, rows, work))
    except ModelBuildError as error:
        return {"refused": str(error)}


def _scores(teacher: Teacher, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    found = np.full(len(texts), np.nan, dtype=np.float32)
    teacher.fill(texts, found)
    return found


def _milliseconds(judge: Callable[[str], object], texts: Sequence[str]) -> float:
    """Return the median time of one text."""
    times = []
    for text in texts[: WARM_UP + TIMED]:
        begun = time.perf_counter()
        judge(text)
        times.append(1000 * (time.perf_counter() - begun))
    return float(np.median(times[WARM_UP:] or times))
