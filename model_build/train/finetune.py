"""Fine-tuning: labelled messages and a base come in, a classifier comes out.

The base is a folder or a hub id: a classifier, an encoder whose head is new, or a BERT that is brought to another
tokenizer first. Where there is a teacher, its probabilities are learnt beside the labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import set_seed

from model_build import data as labelled
from model_build.errors import ModelBuildError
from model_build.source import sha256
from model_build.train import run, start
from model_build.train.examples import LOWER_CASED, Collator, Examples, Mixture
from model_build.train.loss import Targets
from model_build.train.progress import source_aucs, tell_of_bad_rows
from model_build.train.trainer import ScheduledTrainer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import torch
    from transformers import EvalPrediction, PreTrainedTokenizerFast

    from model_build.data import Row
    from model_build.train.run import Run


@dataclass(frozen=True)
class Task:
    """What is trained on what: the data, the base, and the tokenizer where it is not the base's own.

    `layers` names the layers of the base that a student begins with; all of them where there are none.
    """

    data: Path
    base: str
    tokenizer: str = ""
    revision: str | None = None
    mixture: Mixture = field(default_factory=Mixture)
    lower_cased: float = LOWER_CASED
    skip_bad_rows: bool = False
    evaluate_every: int = 0
    layers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Teaching:
    """What a student learns beside the labels.

    `judge` has the teachers judge the rows, in one process; `probabilities` gives then, in each, that of toxic for each
    row, (rows,), or nothing if the run's time was over before all were known.
    """

    judge: Callable[[Sequence[Row]], None]
    probabilities: Callable[[], npt.NDArray[np.float32] | None]
    targets: Targets
    described: Mapping[str, Any]


class ClassifierTrainer(ScheduledTrainer):
    """A Trainer whose loss may have soft targets beside the labels."""

    def __init__(self, run: Run, targets: Targets, **keywords: Any) -> None:
        super().__init__(run, **keywords)
        self.targets = targets

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **_: Any) -> Any:
        """Return the loss of a batch, with the model's outputs where asked."""
        labels, soft = inputs.pop("labels"), inputs.pop("soft", None)
        outputs = model(**inputs)
        loss = self.targets.loss(outputs.logits, labels, soft)
        return (loss, {"loss": loss, "logits": outputs.logits}) if return_outputs else loss


def finetune(task: Task, settings: Run, teaching: Teaching | None = None) -> bool:
    """Train and return whether all steps are done; the run's folder then holds the classifier.

    Raises ModelBuildError if the data has a bad row or lacks a label, or if base and options do not fit together.
    """
    data = labelled.read(task.data, skip_bad_rows=task.skip_bad_rows)
    tell_of_bad_rows(data.bad)
    rows, dev = _rows_of(data, task)
    arguments = settings.arguments(
        eval_strategy="steps" if dev else "no", eval_steps=task.evaluate_every or None, label_names=["labels"]
    )
    soft = None
    if teaching:
        with arguments.main_process_first(local=False, desc="the teacher's probabilities"):
            if arguments.process_index == 0:
                teaching.judge(rows)
        soft = teaching.probabilities()
        if soft is None:
            run.say("Stopped before the teachers had judged all rows: the same command goes on.")
            return False
    set_seed(settings.seed)  # a new head is random
    base = start.load(task.base, task.revision, task.tokenizer, task.layers)
    base.check_length(settings.max_length)
    taken = task.mixture.indices(rows, settings.seed)
    run.say(f"{len(rows):,} rows to train on, {len(taken):,} of them in an epoch.")
    chosen = [rows[index] for index in taken]
    trainer = ClassifierTrainer(
        settings,
        teaching.targets if teaching else Targets(soft_share=0.0),
        model=base.model,
        args=arguments,
        train_dataset=Examples(
            [row.text for row in chosen],
            [row.label for row in chosen],
            base.tokenizer,
            settings.max_length,
            lower_cased=task.lower_cased,
            soft=None if soft is None else soft[taken],
            seed=settings.seed,
        ),
        eval_dataset=_as_written(dev, base.tokenizer, settings.max_length) if dev else None,
        data_collator=Collator(base.tokenizer),
        processing_class=base.tokenizer,
        compute_metrics=_metrics([row.source for row in dev]) if dev else None,
    )
    mixture = task.mixture
    made_of = {
        "stage": "distill" if teaching else "finetune",
        "base": base.origin,
        "tokenizer": base.tokenizer_sha256(),
        "layers": list(task.layers) or "all",
        "data": {"sha256": sha256(task.data), "rows": len(rows), "in_an_epoch": len(taken), "bad_rows": len(data.bad)},
        "mixture": {"caps": dict(mixture.caps), "times": dict(mixture.times), "lower_cased": task.lower_cased},
        "teaching": dict(teaching.described) if teaching else None,
    }
    return run.train(trainer, made_of)


def _rows_of(data: labelled.Labelled, task: Task) -> tuple[list[Row], list[Row]]:
    """Return the rows to train on and those to measure on, the latter only where that is asked for."""
    rows = data.of_split("train")
    # Like lengths together: less of a batch is padding.
    dev = sorted(data.of_split("dev"), key=lambda row: len(row.text)) if task.evaluate_every else []
    if {row.label for row in rows} != {0, 1}:
        raise ModelBuildError(f"{task.data} has no train rows of both labels, 0 and 1: there is nothing to tell apart")
    if task.evaluate_every and {row.label for row in dev} != {0, 1}:
        raise ModelBuildError(
            f"{task.data} has no rows of split dev with both labels: add some, or leave --evaluate-every out"
        )
    return rows, dev


def _as_written(rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast, max_length: int) -> Examples:
    return Examples([row.text for row in rows], [row.label for row in rows], tokenizer, max_length, lower_cased=0.0)


def _metrics(sources: Sequence[str]) -> Any:
    def compute(prediction: EvalPrediction) -> dict[str, float]:
        logits = np.asarray(prediction.predictions)
        return source_aucs(np.asarray(prediction.label_ids), logits[:, 1] - logits[:, 0], sources)

    return compute
