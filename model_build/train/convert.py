"""Convert a checkpoint: architecture, vocabulary, precision or file size. Average the weights of several.

An MPNet is converted to a RoBERTa by dropping its attention bias, the only difference between their layers. The result
does not compute the same function and needs further training.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import AutoConfig, PreTrainedModel, RobertaForSequenceClassification, set_seed

from model_build.errors import ModelBuildError
from model_build.safe_loading import from_pretrained
from model_build.serving_form import BERT_PARTS, MPNET_PARTS
from model_build.source import is_model_directory, locate
from model_build.train.initial_model import load, read_tokenizer, restore, roberta_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerFast

    from model_build.train.cli import ConvertOptions


def convert(options: ConvertOptions) -> None:
    """Convert a checkpoint, hub model or model directory. A new head depends on the seed.

    Raises ModelBuildError if `out` is not empty, if the source cannot be converted or averaged, or if a weight
    overflows 16 bits.
    """
    out = options.out
    if out.is_dir() and any(out.iterdir()):
        raise ModelBuildError(f"{out} is not empty: the files of two checkpoints would mix; pass another --out")
    set_seed(options.seed)
    if options.tokenizer or options.to_roberta:
        initial = load(options.source, options.revision, options.tokenizer)
        model, tokenizer = initial.model, initial.tokenizer
    else:
        model, tokenizer = _load_unchanged(options.source, options.revision)
    if options.to_roberta:
        model = without_distance_biases(model)
    if options.average:
        _average(model, [_load_unchanged(source, None) for source in options.average])
    if options.float16:
        model = model.half()
        if bad := [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]:
            raise ModelBuildError(f"{bad[0]} has a value that overflows 16 bits: omit --float16")
    model.save_pretrained(out, max_shard_size=options.max_shard_size)
    tokenizer.save_pretrained(out)


def _load_unchanged(source: str, revision: str | None) -> tuple[Any, PreTrainedTokenizerFast]:
    if is_model_directory(Path(source)):
        return restore(Path(source))
    folder = locate(source, revision).folder
    architectures = from_pretrained(AutoConfig, folder).architectures or []
    kind = getattr(transformers, architectures[0], None) if len(architectures) == 1 else None
    if not (isinstance(kind, type) and issubclass(kind, PreTrainedModel)):
        raise ModelBuildError(f"the config.json of {source} names no transformers architecture: add it")
    model = from_pretrained(kind, folder, dtype="auto")
    return model, read_tokenizer(folder)


def _average(model: Any, others: Sequence[tuple[Any, PreTrainedTokenizerFast]]) -> None:
    """Replace the weights by their mean with those of other models (Wortsman et al. 2022, Model soups).

    Models that were fine-tuned from the same checkpoint are often better averaged than alone.
    """
    states = [model.state_dict(), *(other.state_dict() for other, _ in others)]
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes):
        raise ModelBuildError("--average needs checkpoints of the same shape: pass another one")
    model.load_state_dict({name: sum(state[name] / len(states) for state in states) for name in states[0]})


def without_distance_biases(model: Any) -> RobertaForSequenceClassification:
    """Convert an MPNet to a RoBERTa without its attention bias. Raises ModelBuildError for other model types."""
    if model.config.model_type != "mpnet":
        raise ModelBuildError(f"--to-roberta converts only an MPNet, not {model.config.model_type}: pass an MPNet")
    same = ("vocab_size", "max_position_embeddings", "pad_token_id", "bos_token_id", "eos_token_id")
    config = roberta_config(model.config, **{name: getattr(model.config, name) for name in same})
    found = RobertaForSequenceClassification(config)
    for ours, theirs in zip(found.roberta.encoder.layer, model.mpnet.encoder.layer, strict=True):
        for part, path in BERT_PARTS.items():
            ours.get_submodule(path).load_state_dict(theirs.get_submodule(MPNET_PARTS[part]).state_dict())
    segment = {"token_type_embeddings.weight": torch.zeros(1, config.hidden_size)}
    found.roberta.embeddings.load_state_dict(model.mpnet.embeddings.state_dict() | segment)
    found.classifier.load_state_dict(model.classifier.state_dict())
    return found
