"""Convert a checkpoint: architecture, vocabulary, precision or size of its files.

An MPNet becomes a RoBERTa by leaving out its bias on attention, the only difference in what their layers compute. The
result is a start for training, not the same function.
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
from model_build.train.initial_model import load, read_tokenizer, restored, roberta_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from model_build.train.cli import ConvertOptions


def convert(options: ConvertOptions) -> None:
    """Write a checkpoint, hub model or model directory in another form; the seed draws a new head.

    Raises ModelBuildError if `out` is not empty, if the source does not fit, or if 16 bits cannot hold a weight.
    """
    out = options.out
    if out.is_dir() and any(out.iterdir()):
        raise ModelBuildError(f"{out} is not empty: files of two checkpoints would mix; pass another --out")
    set_seed(options.seed)
    if options.tokenizer or options.to_roberta:
        initial = load(options.source, options.revision, options.tokenizer)
        model, tokenizer = initial.model, initial.tokenizer
    else:
        model, tokenizer = _as_it_is(options.source, options.revision)
    if options.to_roberta:
        model = without_distance_biases(model)
    if options.float16:
        model = model.half()
        if bad := [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]:
            raise ModelBuildError(f"{bad[0]} has a value that 16 bits cannot hold: leave --float16 out")
    model.save_pretrained(out, max_shard_size=options.max_shard_size)
    tokenizer.save_pretrained(out)


def _as_it_is(source: str, revision: str | None) -> tuple[Any, PreTrainedTokenizerFast]:
    if is_model_directory(Path(source)):
        return restored(Path(source))
    folder = locate(source, revision).folder
    architectures = from_pretrained(AutoConfig, folder).architectures or []
    kind = getattr(transformers, architectures[0], None) if len(architectures) == 1 else None
    if not (isinstance(kind, type) and issubclass(kind, PreTrainedModel)):
        raise ModelBuildError(f"{source} names no architecture of transformers in its config.json: add it")
    model = from_pretrained(kind, folder, dtype="auto")
    return model, read_tokenizer(folder)


def without_distance_biases(model: Any) -> RobertaForSequenceClassification:
    """Return an MPNet as a RoBERTa with the same weights but for the bias; raises ModelBuildError if it is no MPNet."""
    if model.config.model_type != "mpnet":
        raise ModelBuildError(f"a {model.config.model_type} has no bias to leave out: pass an MPNet")
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
