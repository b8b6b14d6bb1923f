"""Fine-tuning: train a classifier on labelled messages and, for distillation, on teachers' probabilities as well."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from transformers import DataCollatorWithPadding, set_seed

from model_build import data as labelled
from model_build.augmentation import LONGEST_HARMLESS, Augmentation
from model_build.errors import ModelBuildError
from model_build.metrics import auc
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

MOST_BAD_ROWS_NAMED = 10
SMALLEST_PROBABILITY = 1e-4  # of a teacher: 0 and 1 have no finite logit
# With --layer-decay the head, which is usually new, learns faster than the highest layer.
HEAD_RATE = 4.0

UNLABELLED = -100  # the label that PyTorch's cross-entropy leaves out


@dataclass(frozen=True)
class Targets:
    """What the loss compares logits with: labels, perhaps smoothed, and a teacher's probabilities.

    `alpha` is the weight of the teacher, and `temperature` softens both sides
    (Hinton, Vinyals and Dean, https://arxiv.org/abs/1503.02531).
    """

    alpha: float = 0.0
    temperature: float = 1.0
    smoothing: float = 0.0

    def loss(self, logits: Tensor, labels: Tensor, soft: Tensor | None) -> Tensor:
        """Return the mean over a batch: logits (batch, 2), labels (batch,), the teacher's probabilities (batch,).

        A text without a label, UNLABELLED, has the teacher alone. The teacher's part is multiplied by the temperature's
        square, so that its gradients keep their size.
        """
        logits = logits.float()
        hard = functional.cross_entropy(logits, labels, label_smoothing=self.smoothing, reduction="none")
        if soft is None or not self.alpha:
            return hard.mean()
        teacher = torch.logit(soft.float(), eps=SMALLEST_PROBABILITY) / self.temperature
        target = torch.stack([-teacher / 2, teacher / 2], dim=-1).log_softmax(dim=-1)
        student = (logits / self.temperature).log_softmax(dim=-1)
        divergence = functional.kl_div(student, target, reduction="none", log_target=True).sum(dim=-1)
        weight = torch.where(labels == UNLABELLED, 1.0, self.alpha)
        return ((1 - weight) * hard + weight * self.temperature**2 * divergence).mean()


@dataclass(frozen=True)
class Teaching:
    """How distillation changes fine-tuning: the targets, and texts that have no label.

    `probabilities` returns the probability of toxic for each of some rows, (rows,), or None if time was over before
    all were known. It is called in the main process first, with `is_main`, and has the teachers score the rows there.
    """

    probabilities: Callable[..., npt.NDArray[np.float32] | None]
    targets: Targets
    described: Mapping[str, Any]
    unlabelled: Sequence[Row] = ()


class ClassifierTrainer(trainer.ResumableTrainer):
    """A Trainer with our loss and, if asked, with a lower learning rate in lower layers."""

    optimizer: Any

    def __init__(self, options: FinetuneOptions, targets: Targets, **keywords: Any) -> None:
        super().__init__(options, **keywords)
        self._targets, self._layer_decay = targets, options.layer_decay

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any) -> Any:
        """Return the loss of a batch, with the model's outputs if asked."""
        labels, soft = inputs.pop("labels"), inputs.pop("soft", None)
        outputs = model(**inputs)
        loss = self._targets.loss(outputs.logits, labels, soft)
        return (loss, {"loss": loss, "logits": outputs.logits}) if return_outputs else loss

    def create_optimizer(self) -> Any:
        """Return the Trainer's optimizer, its parameters grouped by learning rate if there is a layer decay."""
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
    """Return where a parameter is: 0 in the embeddings, N in the N-th layer, one more than the layers in the head."""
    if not name.startswith(f"{model.base_model_prefix}."):
        return int(model.config.num_hidden_layers) + 1
    layer = re.search(r"\.layer\.(\d+)\.", name)
    return int(layer[1]) + 1 if layer else 0


def freeze(model: Any, layers: int) -> None:
    """Do not train the embeddings and so many of the lowest layers; raises ModelBuildError if there are fewer."""
    if layers > model.config.num_hidden_layers:
        raise ModelBuildError(f"the base has {model.config.num_hidden_layers} layers: pass fewer to --freeze-layers")
    for name, parameter in model.named_parameters():
        if layers and level(model, name) <= layers:
            parameter.requires_grad = False


def finetune(options: FinetuneOptions, teaching: Teaching | None = None) -> bool:
    """Train and return whether all steps are done; the run's folder then holds the classifier.

    Raises ModelBuildError if the data has a bad row or lacks a label, or if base and options do not fit together.
    """
    data = labelled.read(*options.data, chat=options.chat, skip_bad_rows=options.skip_bad_rows)
    for description in data.bad[:MOST_BAD_ROWS_NAMED]:
        trainer.say(f"skipped: {description}")
    if data.bad:
        trainer.say(f"{len(data.bad):,} bad rows skipped.")
    rows, dev = _split(data, options)
    rows += teaching.unlabelled if teaching else []
    arguments = trainer.training_arguments(options, label_names=["labels"])
    chosen = mixture(rows, options.cap, options.times, options.seed)
    trainer.say(f"{len(rows):,} rows to train on, {len(chosen):,} of them in an epoch.")
    different, copies = np.unique(np.array(chosen, dtype=np.int64), return_inverse=True)
    soft = None
    if teaching:
        with arguments.main_process_first(local=False, desc="the teachers' scores"):
            used_once = [rows[index] for index in different]
            soft = teaching.probabilities(used_once, is_main=arguments.process_index == 0)
        if soft is None:
            trainer.say("Stopped before the teachers had scored all rows: the same command resumes.")
            return False
    set_seed(options.seed)  # a new head is random
    layers = [int(layer) for layer in options.layers.split(",") if layer]
    initial = load(options.base, options.revision, options.tokenizer, layers)
    initial.check_length(options.max_length)
    freeze(initial.model, options.freeze_layers)
    harmless = [row.text for row in rows if row.label == 0 and len(row.text) < LONGEST_HARMLESS]
    runner = ClassifierTrainer(
        options,
        teaching.targets if teaching else Targets(smoothing=options.label_smoothing_factor),
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
    made_of = {
        "stage": "distill" if teaching else "finetune",
        "base": initial.origin,
        "tokenizer": initial.tokenizer_sha256(),
        "data": {
            "sha256": labelled.checksum(*options.data),
            "rows": len(rows),
            "in_an_epoch": len(chosen),
            "bad_rows": len(data.bad),
        },
        **(teaching.described if teaching else {}),
    }
    return trainer.train(runner, made_of)


def source_aucs(sources: Sequence[str]) -> Callable[[EvalPrediction], dict[str, float]]:
    """Return what computes the AUC of all rows, of each source that has both labels, and the mean of the latter."""
    names = np.array(sources)

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        labels, logits = np.asarray(prediction.label_ids), np.asarray(prediction.predictions)
        scores = logits[:, 1] - logits[:, 0]
        each = {f"auc_{name}": auc(labels[names == name], scores[names == name]) for name in sorted(set(sources))}
        known = {name: value for name, value in each.items() if value is not None}
        mean = float(np.mean(list(known.values()))) if known else float("nan")
        return {"auc": auc(labels, scores) or float("nan"), "auc_mean_of_sources": mean, **known}

    return compute


def _split(data: labelled.Labelled, options: FinetuneOptions) -> tuple[list[Row], list[Row]]:
    """Return the rows to train on and, if there are evaluations, the rows of split dev."""
    rows, names = data.of_split("train"), ", ".join(map(str, options.data))
    # Texts of similar length together: less of a batch is padding.
    dev = sorted(data.of_split("dev"), key=lambda row: len(row.text)) if options.eval_steps else []
    if {row.label for row in rows} != {0, 1}:
        raise ModelBuildError(f"{names} has no train rows of both labels, 0 and 1: there is nothing to learn")
    if options.eval_steps and {row.label for row in dev} != {0, 1}:
        raise ModelBuildError(f"{names} has no rows of split dev with both labels: add some, or leave --eval-steps out")
    return rows, dev
