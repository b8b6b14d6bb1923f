"""Fine-tuning: train a classifier on labelled messages and, for distillation, also on teachers' probabilities."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from transformers import DataCollatorWithPadding, set_seed

from model_build import data as labelled
from model_build.augmentation import MAX_HARMLESS_CHARACTERS, Augmentation
from model_build.errors import ModelBuildError
from model_build.metrics import auc
from model_build.safe_loading import in_head
from model_build.train import trainer
from model_build.train.examples import Examples, mixture
from model_build.train.initial_model import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt
    from torch import Tensor
    from transformers import EvalPrediction

    from model_build.data import Row
    from model_build.train.cli import FinetuneOptions

MIN_PROBABILITY = 1e-4  # of a teacher: 0 and 1 have no finite logit
# With --layer-decay, the head's learning rate as a multiple of --learning-rate: the head is usually new.
HEAD_RATE = 4.0

UNLABELLED = -100  # PyTorch's cross-entropy ignores this label


@dataclass(frozen=True)
class Targets:
    """The loss: cross-entropy with the labels, optionally smoothed, and divergence from a teacher's probabilities.

    `alpha` is the weight of the teacher. `temperature` softens the outputs of student and teacher
    (Hinton, Vinyals and Dean, https://arxiv.org/abs/1503.02531).
    """

    alpha: float = 0.0
    temperature: float = 1.0
    smoothing: float = 0.0

    def loss(self, logits: Tensor, labels: Tensor, soft: Tensor | None) -> Tensor:
        """Return the mean loss of a batch. Shapes: logits (batch, 2), labels and `soft` (batch,).

        `soft` holds the teacher's probabilities. For texts with the label UNLABELLED, only the teacher counts. The
        teacher's term is multiplied by the square of the temperature to keep the scale of its gradients.
        """
        logits = logits.float()
        hard = functional.cross_entropy(logits, labels, label_smoothing=self.smoothing, reduction="none")
        if soft is None or not self.alpha:
            return hard.mean()
        teacher = torch.logit(soft.float(), eps=MIN_PROBABILITY) / self.temperature
        target = torch.stack([-teacher / 2, teacher / 2], dim=-1).log_softmax(dim=-1)
        student = (logits / self.temperature).log_softmax(dim=-1)
        divergence = functional.kl_div(student, target, reduction="none", log_target=True).sum(dim=-1)
        weight = torch.where(labels == UNLABELLED, 1.0, self.alpha)
        return ((1 - weight) * hard + weight * self.temperature**2 * divergence).mean()


@dataclass(frozen=True)
class Distillation:
    """What distillation adds to fine-tuning: teachers' probabilities, their weight in the loss, unlabelled texts.

    `probabilities` takes rows and returns the probability of toxic for each, shape (rows,), or None if the time ran out
    first. The main process calls it first, with `is_main=True`, and runs the teachers.
    """

    probabilities: Callable[..., npt.NDArray[np.float32] | None]
    targets: Targets
    described: Mapping[str, Any]
    unlabelled: Sequence[Row] = ()


class ClassifierTrainer(trainer.ResumableTrainer):
    """A Trainer with the loss of `Targets` and optional layer-wise learning-rate decay."""

    optimizer: Any

    def __init__(self, options: FinetuneOptions, targets: Targets, **keywords: Any) -> None:
        super().__init__(options, **keywords)
        self._targets, self._layer_decay = targets, options.layer_decay

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any) -> Any:
        """Return the loss of a batch, and with `return_outputs` also the logits."""
        labels, soft = inputs.pop("labels"), inputs.pop("soft", None)
        outputs = model(**inputs)
        loss = self._targets.loss(outputs.logits, labels, soft)
        return (loss, {"loss": loss, "logits": outputs.logits}) if return_outputs else loss

    def create_optimizer(self) -> Any:
        """Return the Trainer's optimizer. With layer decay, parameters are grouped by learning rate."""
        if self.optimizer is None and self._layer_decay < 1:
            decayed = set(self.get_decay_parameter_names(self.model))
            depth = self.model.config.num_hidden_layers
            groups: dict[tuple[float, float], dict[str, Any]] = {}
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    below = depth - level(self.model, name)
                    rate = self.args.learning_rate * (HEAD_RATE if below < 0 else self._layer_decay**below)
                    decay = self.args.weight_decay if name in decayed else 0.0
                    group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
                    group["params"].append(parameter)
            kind, keywords = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            self.optimizer = kind(list(groups.values()), **keywords)
        return super().create_optimizer()


def level(model: Any, name: str) -> int:
    """Return the depth of a parameter: 0 for embeddings, N for the N-th layer, number of layers + 1 for the head."""
    if in_head(model, name):
        return int(model.config.num_hidden_layers) + 1
    layer = re.search(r"\.layer\.(\d+)\.", name)
    return int(layer[1]) + 1 if layer else 0


def check_levels(model: Any) -> None:
    """Raise ModelBuildError if the layers cannot be told from the names of their parameters."""
    known = {level(model, name) for name, _ in model.named_parameters()}
    if not known >= set(range(1, model.config.num_hidden_layers + 1)):
        raise ModelBuildError(
            f"--freeze-layers and --layer-decay do not know the layers of the model type {model.config.model_type}: "
            "omit them or pass another base"
        )


def freeze(model: Any, layers: int) -> None:
    """Freeze the embeddings and the lowest `layers` layers. Raises ModelBuildError if the model has fewer layers."""
    if layers > model.config.num_hidden_layers:
        raise ModelBuildError(f"the base has {model.config.num_hidden_layers} layers: pass fewer to --freeze-layers")
    for name, parameter in model.named_parameters():
        if layers and level(model, name) <= layers:
            parameter.requires_grad = False


def finetune(options: FinetuneOptions, distillation: Distillation | None = None) -> bool:
    """Train, and return whether all steps are done. If so, the run's folder holds the classifier.

    Raises ModelBuildError if the data has a bad row or lacks a label, or if an option does not suit the base.
    """
    data = labelled.read(*options.data, chat=options.chat, skip_bad_rows=options.skip_bad_rows)
    for line in data.describe_skipped():
        trainer.log(line)
    rows, dev = _split(data, options)
    rows += distillation.unlabelled if distillation else []
    arguments = trainer.training_arguments(options, label_names=["labels"])
    chosen = mixture(rows, options.cap, options.times, options.seed)
    trainer.log(f"{len(rows):,} rows to train on, {len(chosen):,} per epoch.")
    different, copies = np.unique(np.array(chosen, dtype=np.int64), return_inverse=True)
    used_once = [rows[index] for index in different]
    soft = None
    if distillation:
        with arguments.main_process_first(local=False, desc="the teachers' scores"):
            soft = distillation.probabilities(used_once, is_main=arguments.process_index == 0)
        if soft is None:
            trainer.log("Stopped before the teachers had scored all rows. Run the same command to resume.")
            return False
    set_seed(options.seed)  # for the weights of a new head
    layers = [int(layer) for layer in options.layers.split(",") if layer]
    initial = load(options.base, options.revision, options.tokenizer, layers)
    initial.check_length(options.max_length)
    if options.freeze_layers or options.layer_decay < 1:
        check_levels(initial.model)
    freeze(initial.model, options.freeze_layers)
    harmless = [row.text for row in used_once if row.label == 0 and len(row.text) < MAX_HARMLESS_CHARACTERS]
    runner = ClassifierTrainer(
        options,
        distillation.targets if distillation else Targets(smoothing=options.label_smoothing_factor),
        model=initial.model,
        args=arguments,
        train_dataset=Examples(
            [rows[index] for index in chosen],
            initial.tokenizer,
            options.max_length,
            lower_cased=options.lower_cased,
            augmentation=Augmentation(harmless) if options.augment else None,
            soft=None if soft is None else soft[copies],
            seed=options.seed,
        ),
        eval_dataset=Examples(dev, initial.tokenizer, options.max_length) if dev else None,
        data_collator=DataCollatorWithPadding(initial.tokenizer),
        processing_class=initial.tokenizer,
        compute_metrics=source_aucs([row.source for row in dev]) if dev else None,
    )
    description = {
        "stage": "distill" if distillation else "finetune",
        "base": initial.origin,
        "tokenizer": initial.tokenizer_sha256(),
        "data": {
            "sha256": labelled.checksum(*options.data),
            "rows": len(rows),
            "in_an_epoch": len(chosen),
            "bad_rows": len(data.bad),
        },
        **(distillation.described if distillation else {}),
    }
    return trainer.train(runner, description)


def source_aucs(sources: Sequence[str]) -> Callable[[EvalPrediction], dict[str, float]]:
    """Return a function that computes the AUC of all rows, of each source, and the sources' mean.

    It omits an AUC that needs rows of both labels and has none.
    """
    names = np.array(sources)

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        labels, logits = np.asarray(prediction.label_ids), np.asarray(prediction.predictions)
        scores = logits[:, 1] - logits[:, 0]
        each = {f"auc_{name}": auc(labels[names == name], scores[names == name]) for name in sorted(set(sources))}
        known = [value for value in each.values() if value is not None]
        mean = float(np.mean(known)) if known else None
        found = {"auc": auc(labels, scores), "auc_mean_of_sources": mean, **each}
        return {name: value for name, value in found.items() if value is not None}

    return compute


def _split(data: labelled.Labelled, options: FinetuneOptions) -> tuple[list[Row], list[Row]]:
    """Return the rows of split `train` and, with --eval-steps, those of split `dev`."""
    rows, names = data.of_split("train"), ", ".join(map(str, options.data))
    # Sorted by length, so that batches contain less padding.
    dev = sorted(data.of_split("dev"), key=lambda row: len(row.text)) if options.eval_steps else []
    if {row.label for row in rows} != {0, 1}:
        raise ModelBuildError(f"{names} needs rows of both labels, 0 and 1, in split train: add some")
    if options.eval_steps and {row.label for row in dev} != {0, 1}:
        raise ModelBuildError(
            f"{names} needs rows of both labels, 0 and 1, in split dev: add some, or omit --eval-steps"
        )
    return rows, dev
