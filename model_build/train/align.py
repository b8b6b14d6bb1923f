"""Train a checkpoint on plain text to reproduce the hidden states of a teacher of the same shape.

An MPNet that was converted to a RoBERTa has lost its attention bias. This training compensates for it: the hidden
states of every layer are fitted to those of the MPNet (layer-by-layer distillation as in TinyBERT,
https://arxiv.org/abs/1909.10351). A classifier keeps its head, which reads the last hidden states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding

from model_build.errors import ModelBuildError
from model_build.safe_loading import from_pretrained
from model_build.source import locate
from model_build.train import trainer
from model_build.train.initial_model import load, origin, read_tokenizer
from model_build.train.pretrain import train_on_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from model_build.source import Source
    from model_build.train.cli import AlignOptions
    from model_build.train.initial_model import InitialModel

SHAPE = ("hidden_size", "num_hidden_layers")


def align(options: AlignOptions) -> bool:
    """Train, and return whether all steps are done.

    Raises ModelBuildError if the texts cannot be read, or if the models differ in vocabulary, width or depth.
    """
    source = locate(options.teacher)

    def make_trainer(initial: InitialModel, **keywords: Any) -> HiddenStatesTrainer:
        initial.model.requires_grad_(requires_grad=False)
        initial.model.base_model.requires_grad_()  # the head gets no gradient, which data parallelism would wait for
        teacher = _teacher(source, initial).to(keywords["args"].device)
        collator = DataCollatorWithPadding(initial.tokenizer)
        return HiddenStatesTrainer(options, teacher, data_collator=collator, **keywords)

    described = {"stage": "align", "teacher": origin(source)}
    return train_on_texts(options, lambda *_: load(options.base, options.revision), make_trainer, described)


def distance(ours: Sequence[Tensor], theirs: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Return the mean squared difference over all layers, tokens and dimensions.

    Each sequence holds a (batch, tokens, width) tensor for the embeddings and for every layer. `mask` has the shape
    (batch, tokens) and is 0 for padding, which is ignored.
    """
    present = mask.unsqueeze(-1).float()
    count = present.sum() * ours[0].shape[-1]
    squares = [
        ((one.float() - other.float()).square() * present).sum() for one, other in zip(ours, theirs, strict=True)
    ]
    return torch.stack(squares).mean() / count


class HiddenStatesTrainer(trainer.ResumableTrainer):
    """A Trainer whose loss is the distance to a teacher's hidden states."""

    def __init__(self, options: AlignOptions, teacher: Any, **keywords: Any) -> None:
        super().__init__(options, **keywords)
        self._teacher = teacher.eval()
        self.label_names = ["input_ids"]  # the Trainer evaluates the loss only of batches with these keys

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any) -> Any:
        """Return the loss of a batch of input_ids and attention_mask, (batch, tokens)."""
        given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            theirs = self._teacher(**given, output_hidden_states=True).hidden_states
        model.eval()  # no dropout, as in the teacher; before each step the Trainer calls `train`
        outputs = model(**given, output_hidden_states=True)
        loss = distance(outputs.hidden_states, theirs, given["attention_mask"])
        return (loss, outputs) if return_outputs else loss


def _teacher(source: Source, initial: InitialModel) -> Any:
    if read_tokenizer(source.folder).get_vocab() != initial.tokenizer.get_vocab():
        raise ModelBuildError(f"{source.name} and the base have different vocabularies: pass a matching --teacher")
    kind = AutoModelForSequenceClassification
    model = from_pretrained(kind, source.folder, new_head=True, dtype=torch.float32).base_model
    ours, theirs = ([getattr(one.config, name) for name in SHAPE] for one in (initial.model, model))
    if ours != theirs:
        shapes = [f"{width} wide with {depth} layers" for width, depth in (theirs, ours)]
        raise ModelBuildError(f"{source.name} is {shapes[0]}, the base {shapes[1]}: pass a base of the same shape")
    return model
