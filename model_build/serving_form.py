"""Rewrite a transformers classifier before export, so that it computes only what the result needs.

The classification head reads only the first token, so the last layer computes queries, attention output and
feed-forward network for that token alone. Texts are padded at the end, so positions do not depend on the tokens. MPNet
adds an attention bias that depends on the distance between two tokens. It becomes one small table of all distances.
Attention is exported as one onnxruntime operator. `smooth` scales the inputs of attention and of the first feed-forward
matrix, so that no channel is much larger than the others. The results equal the original's up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The parts of a layer, with their path in each architecture. RoBERTa uses BERT's names. The keys become the names of
# the weights in the ONNX file, which `train.initial_model.restore` reads.
BERT_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense",
    "activation": "intermediate.intermediate_act_fn",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}
DISTILBERT_PARTS = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attended": "attention.out_lin",
    "attended_norm": "sa_layer_norm",
    "widen": "ffn.lin1",
    "activation": "ffn.activation",
    "narrow": "ffn.lin2",
    "norm": "output_layer_norm",
}
MPNET_PARTS = BERT_PARTS | {
    "query": "attention.attn.q",
    "key": "attention.attn.k",
    "value": "attention.attn.v",
    "attended": "attention.attn.o",
    "attended_norm": "attention.LayerNorm",
}
FAMILIES = {
    # model type: (attribute of the encoder, the parts of its layers)
    "roberta": ("encoder", BERT_PARTS),
    "bert": ("encoder", BERT_PARTS),
    "distilbert": ("transformer", DISTILBERT_PARTS),
    "mpnet": ("encoder", MPNET_PARTS),
}

# The scale of a layer's inputs, with the products that read them.
SCALED_INPUTS = {"attention_scale": ("key", "query", "value"), "widen_scale": ("widen",)}
# The largest value of a scaled channel becomes about this many times the median channel's. Scales are powers of two, so
# a channel with up to 1.4 times as much stays as it is.
MAX_CHANNEL = 4.0


def to_serving_form(model: Any) -> None:
    """Rewrite the classifier in place. The arguments and results of `forward` stay the same.

    Raises ModelBuildError if it has relative positions and is not an MPNet.
    """
    if getattr(model.config, "position_embedding_type", "absolute") != "absolute":
        raise ModelBuildError("relative positions are supported only for MPNet: pass another checkpoint")
    attribute, parts = FAMILIES[model.config.model_type]
    base = model.base_model
    base.embeddings = ServingEmbeddings(base.embeddings, first_position(model.config))
    layers = [Layer(layer, parts, model.config.num_attention_heads) for layer in getattr(base, attribute).layer]
    distances = distance_biases(base.encoder, model.config) if model.config.model_type == "mpnet" else None
    setattr(base, attribute, ServingEncoder(layers, distances))


def smooth(model: Any, score_texts: Callable[[], object]) -> int:
    """Scale down the channels with the largest inputs, and scale up the weights that read them; return their number.

    All inputs of an 8-bit product share one scale, so a few large channels make the others imprecise. As in SmoothQuant
    (https://arxiv.org/abs/2211.10438), the scales are found while `score_texts` scores texts with the model, which has
    the serving form. They are powers of two, so the model's own results do not change.
    """
    layers = getattr(model.base_model, FAMILIES[model.config.model_type][0]).layers
    largest: dict[tuple[Layer, str], torch.Tensor] = {}

    def observe(place: tuple[Layer, str], states: torch.Tensor) -> None:
        values = states.abs().flatten(0, -2).amax(dim=0)
        largest[place] = torch.maximum(largest.get(place, values), values)

    hooks = [
        layer.get_submodule(readers[0]).register_forward_pre_hook(
            lambda _, inputs, place=(layer, name): observe(place, inputs[0])
        )
        for layer in layers
        for name, readers in SCALED_INPUTS.items()
    ]
    score_texts()
    for hook in hooks:
        hook.remove()
    channels = 0
    with torch.no_grad():
        for (layer, name), values in largest.items():
            limit = MAX_CHANNEL * values.median()
            factors = torch.exp2(torch.round(torch.log2(values / limit)).clamp(min=0))
            if limit == 0 or factors.max() == 1:
                continue
            for reader in SCALED_INPUTS[name]:
                layer.get_submodule(reader).weight *= factors
            earlier = getattr(layer, name)
            setattr(layer, name, torch.nn.Parameter((1 if earlier is None else earlier) / factors))
            channels += int((factors > 1).sum())
    return channels


def first_position(config: Any) -> int:
    """Return the first token's row in the position table. RoBERTa and MPNet start after the padding id."""
    return int(config.pad_token_id) + 1 if config.model_type in ("roberta", "mpnet") else 0


def distance_biases(encoder: Any, config: Any) -> torch.Tensor:
    """Return MPNet's attention biases, (1, heads, distances), from the largest backward to the largest forward."""
    longest = config.max_position_embeddings - first_position(config)
    biases = encoder.compute_position_bias(torch.zeros(1, longest, 1)).detach()
    backwards, forwards = biases[:, :, 1:, 0].flip(-1), biases[:, :, 0, :]
    return torch.cat([backwards, forwards], dim=-1)


class ServingEmbeddings(torch.nn.Module):  # type: ignore[misc]
    """Word and position embeddings and a normalization. The single segment's vector is added to the positions."""

    def __init__(self, embeddings: Any, first_position: int) -> None:
        super().__init__()
        self.words = embeddings.word_embeddings
        self.norm = embeddings.LayerNorm
        positions = embeddings.position_embeddings.weight.detach()[first_position:].clone()
        if hasattr(embeddings, "token_type_embeddings"):
            positions += embeddings.token_type_embeddings.weight.detach()[0]
        self.positions = torch.nn.Parameter(positions)

    def forward(self, input_ids: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """Return embeddings, (batch, tokens, width), of texts that are padded at the end."""
        return self.norm(self.words(input_ids) + self.positions[: input_ids.shape[1]])


class ServingEncoder(torch.nn.Module):  # type: ignore[misc]
    """All layers, from (batch, tokens, width) to (batch, 1, width): the last computes only the first token."""

    def __init__(self, layers: list[Layer], distances: torch.Tensor | None) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)
        self.distances = None if distances is None else torch.nn.Parameter(distances)

    def forward(self, *bert: Any, **named: Any) -> BaseModelOutputWithPastAndCrossAttentions:
        """Accept transformers' arguments. DistilBERT names its states `x` and its mask `attn_mask`."""
        if bert:
            # an additive mask: 0 for tokens, a large negative number for padding
            states, is_token = bert[0], named["attention_mask"][:, 0, 0, :] == 0
        else:
            states, is_token = named["x"], named["attn_mask"] != 0
        mask = is_token.to(torch.int32)
        bias = None if self.distances is None else biases(self.distances, states.shape[1])
        for layer in self.layers[:-1]:
            states = layer(states, states, mask, bias)
        states = self.layers[-1](states[:, :1], states, mask, None if bias is None else bias[:, :, :1])
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=states)


def biases(distances: torch.Tensor, tokens: int) -> torch.Tensor:
    """Look up the bias of each pair of tokens, (1, heads, tokens, tokens), by distance."""
    places = torch.arange(tokens)
    zero = distances.shape[-1] // 2  # the index of distance 0
    return distances[:, :, places[None, :] - places[:, None] + zero]


class Layer(torch.nn.Module):  # type: ignore[misc]
    """A transformer layer that can compute fewer tokens than it attends to."""

    def __init__(self, layer: Any, parts: Mapping[str, str], heads: int) -> None:
        super().__init__()
        for name, path in parts.items():
            setattr(self, name, layer.get_submodule(path))
        self.heads = heads
        for name in SCALED_INPUTS:
            self.register_parameter(name, None)  # `smooth` sets them

    def forward(self, computed: Any, states: Any, mask: Any, bias: Any) -> Any:
        """Return new states of the `computed` tokens, which attend to all `states`. `mask` is 0 for padding."""
        read = scaled(states, self.attention_scale)
        asking = read if computed is states else scaled(computed, self.attention_scale)
        attended = Attention.apply(self.query(asking), self.key(read), self.value(read), mask, bias, self.heads)
        computed = self.attended_norm(self.attended(attended) + computed)
        wide = self.activation(self.widen(scaled(computed, self.widen_scale)))
        return self.norm(self.narrow(wide) + computed)


def scaled(states: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """Multiply each channel by its scale, if there is one."""
    return states if scale is None else states * scale


class Attention(torch.autograd.Function):  # type: ignore[misc]
    """Scaled dot-product attention: PyTorch's own at run time, one MultiHeadAttention operator in the export."""

    @staticmethod
    def forward(_: Any, query: Any, key: Any, value: Any, mask: Any, bias: Any, heads: int) -> Any:
        """Return the attention output, (batch, queries, width).

        Shapes: `query` (batch, queries, width), `key` and `value` (batch, tokens, width), `mask` (batch, tokens),
        `bias` None or (1, heads, queries, tokens).
        """
        split = [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value)]
        added = mask[:, None, None, :].bool()
        if bias is not None:
            added = bias.masked_fill(~added, float("-inf"))
        attended = torch.nn.functional.scaled_dot_product_attention(*split, attn_mask=added)
        return attended.transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, mask: Any, bias: Any, heads: int) -> Any:
        """Export com.microsoft.MultiHeadAttention without its fourth input, the projection bias."""
        none = graph.op("prim::Constant")
        none.setType(torch._C.OptionalType.ofTensor())  # noqa: SLF001 - the exporter's way to omit an input
        inputs = [query, key, value, none, mask] + ([] if bias is None else [bias])
        attended = graph.op("com.microsoft::MultiHeadAttention", *inputs, num_heads_i=heads)
        attended.setType(query.type())
        return attended
