"""Convert a checkpoint: architecture, vocabulary, width, precision or size of its files.

An MPNet becomes a RoBERTa by leaving out its bias on attention, the only difference in what their layers compute. The
result is a start for training, not the same function.

To double the width, each unit is doubled and the weights that read it are halved (Net2WiderNet,
https://arxiv.org/abs/1511.05641; for transformers bert2BERT, https://arxiv.org/abs/2110.07143). Equal twins would stay
equal for ever, so a little noise, of opposite sign in the two halves of what reads them, sets them apart and leaves the
scores as they were.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import AutoConfig, RobertaConfig, RobertaForSequenceClassification, set_seed

from model_build.errors import ModelBuildError
from model_build.serving_form import BERT_PARTS, MPNET_PARTS
from model_build.source import is_model_directory, locate
from model_build.train.initial_model import load, read_tokenizer, restored

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

    from model_build.train.cli import ConvertOptions

NOISE = 0.2  # as a share of a matrix's own standard deviation


def convert(options: ConvertOptions) -> None:
    """Write a checkpoint, hub model or model directory in another form; the seed draws a new head and noise.

    Raises ModelBuildError if `out` is not empty, if the source does not fit, or if 16 bits cannot hold a weight.
    """
    out = options.out
    if out.is_dir() and any(out.iterdir()):
        raise ModelBuildError(f"{out} is not empty: files of two checkpoints would mix; pass another --out")
    set_seed(options.seed)
    if options.tokenizer or options.to_roberta or options.double_width or options.halve_width:
        initial = load(options.source, options.revision, options.tokenizer)
        model, tokenizer = initial.model, initial.tokenizer
    else:
        model, tokenizer = _as_it_is(options.source, options.revision)
    if options.to_roberta:
        model = without_distance_biases(model)
    if options.double_width:
        model = doubled(model, options.seed)
    if options.halve_width:
        model = halved(model)
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
    architectures = AutoConfig.from_pretrained(folder).architectures or []
    if len(architectures) != 1 or not hasattr(transformers, architectures[0]):
        raise ModelBuildError(f"{source} names no architecture of transformers in its config.json: add it")
    model = getattr(transformers, architectures[0]).from_pretrained(folder, dtype="auto")
    return model, read_tokenizer(folder)


def without_distance_biases(model: Any) -> RobertaForSequenceClassification:
    """Return an MPNet as a RoBERTa with the same weights but for the bias; raises ModelBuildError if it is no MPNet."""
    if model.config.model_type != "mpnet":
        raise ModelBuildError(f"a {model.config.model_type} has no bias to leave out: pass an MPNet")
    same = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act")
    ours = ("layer_norm_eps", "max_position_embeddings", "pad_token_id", "bos_token_id", "eos_token_id", "id2label")
    described = {name: getattr(model.config, name) for name in (*same, *ours, "label2id")}
    found = RobertaForSequenceClassification(RobertaConfig(**described, type_vocab_size=1))
    names = {MPNET_PARTS[part]: BERT_PARTS[part] for part in MPNET_PARTS}
    state = {}
    for name, tensor in model.state_dict().items():
        base, _, inside = name.replace("mpnet.", "roberta.", 1).partition(".layer.")
        layer, _, part = inside.partition(".")
        path, _, kind = part.rpartition(".")
        state[f"{base}.layer.{layer}.{names[path]}.{kind}" if inside else base] = tensor
    del state["roberta.encoder.relative_attention_bias.weight"]
    state["roberta.embeddings.token_type_embeddings.weight"] = torch.zeros(1, model.config.hidden_size)
    found.load_state_dict(state)
    return found


def doubled(
    model: RobertaForSequenceClassification, seed: int, noise: float = NOISE
) -> RobertaForSequenceClassification:
    """Return a classifier of twice the width that computes the same; raises ModelBuildError if it is no RoBERTa."""
    random = torch.Generator().manual_seed(seed)

    def reading_twins(tensor: Tensor, like: Tensor) -> Tensor:
        """Return a matrix that reads doubled units, in its last dimension, as `tensor` reads single ones."""
        scale = noise * float(like.std()) if like.numel() > 1 else 0.0
        apart = torch.randn(tensor.shape, generator=random) * scale
        return torch.cat([tensor / 2 + apart, tensor / 2 - apart], dim=-1)

    def wider(name: str, tensor: Tensor, heads: int) -> Tensor:
        """Twins share a head in attention; elsewhere they are half a width apart."""
        if name.endswith("classifier.out_proj.bias"):  # the logits are not doubled
            return tensor
        if name.endswith("classifier.out_proj.weight"):
            return reading_twins(tensor, tensor)
        if tensor.ndim == 2 and ".embeddings." in name:
            return torch.cat([tensor, tensor], dim=1)
        if ".attention.self." in name:
            # A head's dot product has twice as many equal terms, and attention divides by the root of their number.
            scaled = tensor / math.sqrt(2) if ".query." in name else tensor
            halves = [reading_twins(scaled, tensor) if tensor.ndim == 2 else scaled for _ in range(2)]
            return torch.cat([half.unflatten(0, (heads, -1)) for half in halves], dim=1).flatten(0, 1)
        if tensor.ndim == 1:
            return torch.cat([tensor, tensor])
        if ".attention.output.dense." in name:
            by_head = tensor.unflatten(1, (heads, -1))
            return torch.cat([reading_twins(by_head, tensor).flatten(1) for _ in range(2)])
        return torch.cat([reading_twins(tensor, tensor) for _ in range(2)])

    return _resized(model, lambda width: 2 * width, wider)


def halved(model: RobertaForSequenceClassification) -> RobertaForSequenceClassification:
    """Return a classifier of half the width, each unit the mean of its twins: the inverse of `doubled`.

    If training has moved twins apart, the scores change, and the result must be trained before it is of use. Raises
    ModelBuildError if it is no RoBERTa, or if a head's width is odd.
    """
    if model.config.hidden_size % (2 * model.config.num_attention_heads):
        shape = f"{model.config.hidden_size} wide with {model.config.num_attention_heads} heads"
        raise ModelBuildError(f"a model {shape} cannot be halved: each head must be of an even width")
    return _resized(model, lambda width: width // 2, _narrower)


def _narrower(name: str, tensor: Tensor, heads: int) -> Tensor:
    """Add up what reads twins, and average what writes them."""
    if name.endswith("classifier.out_proj.bias"):
        return tensor
    if tensor.ndim == 2 and ".embeddings." in name:
        return sum(tensor.chunk(2, dim=1)) / 2
    if ".attention.output.dense.weight" in name:
        tensor = tensor.unflatten(1, (heads, 2, -1)).sum(2).flatten(1)
    elif tensor.ndim == 2:
        tensor = sum(tensor.chunk(2, dim=1))
    if name.endswith("classifier.out_proj.weight"):
        return tensor
    if ".attention.self." in name:
        tensor = tensor.unflatten(0, (heads, 2, -1)).mean(1).flatten(0, 1)
        return tensor * math.sqrt(2) if ".query." in name else tensor
    return sum(tensor.chunk(2)) / 2


def _resized(
    model: RobertaForSequenceClassification,
    new_width: Callable[[int], int],
    new_weight: Callable[[str, Tensor, int], Tensor],
) -> RobertaForSequenceClassification:
    if model.config.model_type != "roberta":
        raise ModelBuildError(f"the width of a {model.config.model_type} cannot be changed: pass a RoBERTa")
    config = copy.deepcopy(model.config)
    config.hidden_size = new_width(config.hidden_size)
    config.intermediate_size = new_width(config.intermediate_size)
    resized = RobertaForSequenceClassification(config)
    heads = config.num_attention_heads
    state = {name: new_weight(name, tensor.float(), heads) for name, tensor in model.state_dict().items()}
    resized.load_state_dict(state)
    return resized
