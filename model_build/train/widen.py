"""A RoBERTa classifier comes in, one of twice its width that computes the same comes out, free to learn more; and back.

Every unit is doubled and what reads it is halved (Net2WiderNet: Chen, Goodfellow and Shlens, 2016,
https://arxiv.org/abs/1511.05641; for transformers: bert2BERT, Chen and others, 2022, https://arxiv.org/abs/2110.07143).
Twins would learn the same for ever: a little noise, equal and opposite in the two halves of what reads them, sets them
apart and leaves the result as it was.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from transformers import RobertaForSequenceClassification

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from torch import Tensor

APART = 0.2  # the noise, as a share of a matrix's own standard deviation


def widened(
    model: RobertaForSequenceClassification, seed: int, apart: float = APART
) -> RobertaForSequenceClassification:
    """Return a classifier with as many layers and heads, each twice as wide; raises ModelBuildError for another."""
    if model.config.model_type != "roberta":
        raise ModelBuildError(f"a {model.config.model_type} cannot be widened: pass a checkpoint of RoBERTa's kind")
    config = copy.deepcopy(model.config)
    config.hidden_size, config.intermediate_size = 2 * config.hidden_size, 2 * config.intermediate_size
    wide = RobertaForSequenceClassification(config)
    chance = torch.Generator().manual_seed(seed)
    weights = {
        name: _wider(name, tensor.float(), config.num_attention_heads, _Noise(tensor, apart, chance))
        for name, tensor in model.state_dict().items()
    }
    wide.load_state_dict(weights)
    return wide


class _Noise:
    """Draws what sets twins apart, in proportion to how far a parameter's own values spread."""

    def __init__(self, tensor: Tensor, apart: float, chance: torch.Generator) -> None:
        self._scale = apart * float(tensor.float().std()) if tensor.numel() > 1 else 0.0
        self._chance = chance

    def like(self, tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=self._chance) * self._scale


def _wider(name: str, tensor: Tensor, heads: int, noise: _Noise) -> Tensor:
    """Return one parameter in its new shape: twins share a head, elsewhere they stand half a width apart."""
    if name.endswith("classifier.out_proj.bias"):  # the logits themselves are not doubled
        return tensor
    if name.endswith("classifier.out_proj.weight"):
        return _reading_twins(tensor, noise)
    if tensor.ndim == 2 and ".embeddings." in name:
        return torch.cat([tensor, tensor], dim=1)
    if ".attention.self." in name:
        return _projection(name, tensor, heads, noise)
    if tensor.ndim == 1:
        return torch.cat([tensor, tensor])
    if ".attention.output.dense." in name:
        by_head = tensor.unflatten(1, (heads, -1))
        return torch.cat([_reading_twins(by_head, noise).flatten(1) for _ in range(2)])
    return torch.cat([_reading_twins(tensor, noise) for _ in range(2)])


def _projection(name: str, tensor: Tensor, heads: int, noise: _Noise) -> Tensor:
    """Return queries, keys or values with twice as many units in each head."""
    if ".query." in name:
        # A head's product has twice as many equal terms, and attention divides by the root of their number.
        tensor = tensor / math.sqrt(2)
    if tensor.ndim == 1:
        by_head = tensor.unflatten(0, (heads, -1))
        return torch.cat([by_head, by_head], dim=1).flatten()
    halves = [_reading_twins(tensor, noise).unflatten(0, (heads, -1)) for _ in range(2)]
    return torch.cat(halves, dim=1).flatten(0, 1)


def _reading_twins(tensor: Tensor, noise: _Noise) -> Tensor:
    """Return a matrix that reads doubled units, in its last dimension, as `tensor` read single ones."""
    apart = noise.like(tensor)
    return torch.cat([tensor / 2 + apart, tensor / 2 - apart], dim=-1)


def narrowed(model: RobertaForSequenceClassification) -> RobertaForSequenceClassification:
    """Return a classifier of half the width, each unit the mean of its twins: what `widened` made, unmade.

    The further training has moved twins apart, the more the result differs, and must be trained before it is of use.
    Raises ModelBuildError for another architecture, and for heads that cannot be halved.
    """
    if model.config.model_type != "roberta":
        raise ModelBuildError(f"a {model.config.model_type} cannot be narrowed: pass a checkpoint of RoBERTa's kind")
    if model.config.hidden_size % (2 * model.config.num_attention_heads):
        shape = f"{model.config.hidden_size} wide with {model.config.num_attention_heads} heads"
        raise ModelBuildError(f"a model {shape} cannot be narrowed: each head must be of an even width")
    config = copy.deepcopy(model.config)
    config.hidden_size, config.intermediate_size = config.hidden_size // 2, config.intermediate_size // 2
    narrow = RobertaForSequenceClassification(config)
    narrow.load_state_dict(
        {
            name: _narrower(name, tensor.float(), config.num_attention_heads)
            for name, tensor in model.state_dict().items()
        }
    )
    return narrow


def _narrower(name: str, tensor: Tensor, heads: int) -> Tensor:
    """Return one parameter in half its shape: what reads twins is added up, what writes them is averaged."""
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
