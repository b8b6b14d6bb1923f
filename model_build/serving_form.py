"""A transformers classifier comes in; the same classifier, without the work that its answer does not need, comes out.

The head reads the first token alone, so the last layer computes queries, attention output and feed-forward network
for that token only. Texts are padded at the end, so positions are counted without looking at the tokens. Attention is
exported as one operator of onnxruntime's. All of it is exact; nothing here knows of 8-bit numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Two choices that `model_build.search` turns round to measure what they are worth: docs/rewrites.md has the figures.
FIRST_TOKEN_ONLY = True  # in the last layer
ATTENTION_OPERATOR = True  # one operator a layer, rather than the dozen that PyTorch's attention is exported as

# Where each architecture keeps the parts of a layer: BERT's names, which RoBERTa has inherited, and DistilBERT's.
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
FAMILIES = {
    # model type: (attribute of the encoder, the parts of its layers)
    "roberta": ("encoder", BERT_PARTS),
    "bert": ("encoder", BERT_PARTS),
    "distilbert": ("transformer", DISTILBERT_PARTS),
}


def to_serving_form(model: Any) -> None:
    """Change the classifier in place; its `forward` keeps its arguments and its answer."""
    if getattr(model.config, "position_embedding_type", "absolute") != "absolute":
        raise ModelBuildError("the checkpoint has relative positions; only absolute ones can be built")
    attribute, parts = FAMILIES[model.config.model_type]
    base = model.base_model
    base.embeddings = ServingEmbeddings(base.embeddings, first_position(model.config))
    layers = [Layer(layer, parts, model.config.num_attention_heads) for layer in getattr(base, attribute).layer]
    setattr(base, attribute, ServingEncoder(layers))


def first_position(config: Any) -> int:
    """Return the row of the position table that belongs to the first token; RoBERTa counts from its padding id on."""
    return int(config.pad_token_id) + 1 if config.model_type in ("roberta", "mpnet") else 0


class ServingEmbeddings(torch.nn.Module):  # type: ignore[misc]
    """Words, positions and, where there are any, the one segment: two look-ups and a normalization."""

    def __init__(self, embeddings: Any, first_position: int) -> None:
        super().__init__()
        self.words = embeddings.word_embeddings
        self.norm = embeddings.LayerNorm
        positions = embeddings.position_embeddings.weight.detach()[first_position:].clone()
        if hasattr(embeddings, "token_type_embeddings"):
            positions += embeddings.token_type_embeddings.weight.detach()[0]
        self.positions = torch.nn.Parameter(positions)

    def forward(self, input_ids: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """Return (batch, tokens, width); every text begins at position 0 and is padded at its end."""
        return self.norm(self.words(input_ids) + self.positions[: input_ids.shape[1]])


class ServingEncoder(torch.nn.Module):  # type: ignore[misc]
    """All layers, the last of them for the first token alone: (batch, tokens, width) in, (batch, 1, width) out."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)

    def forward(self, *bert: Any, **named: Any) -> BaseModelOutputWithPastAndCrossAttentions:
        """Take what transformers hands to an encoder; DistilBERT names its states `x` and its mask `attn_mask`."""
        if bert:
            # 0 where a token counts and hugely negative elsewhere
            states, counts = bert[0], named["attention_mask"][:, 0, 0, :] == 0
        else:
            states, counts = named["x"], named["attn_mask"] != 0
        kept = counts.to(torch.int32)
        for layer in self.layers[:-1]:
            states = layer(states, states, kept)
        states = self.layers[-1](states[:, :1] if FIRST_TOKEN_ONLY else states, states, kept)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=states)


class Layer(torch.nn.Module):  # type: ignore[misc]
    """One layer, which may be asked for fewer tokens than it attends to."""

    def __init__(self, layer: Any, parts: Mapping[str, str], heads: int) -> None:
        super().__init__()
        for name, path in parts.items():
            setattr(self, name, layer.get_submodule(path))
        self.heads = heads

    def forward(self, asked: Any, states: Any, kept: Any) -> Any:
        """Return the new states of the `asked` tokens; `states` are those of all, `kept` is 0 for padding."""
        parts = (self.query(asked), self.key(states), self.value(states))
        attended = (Attention.apply if ATTENTION_OPERATOR else attend)(*parts, kept, self.heads)
        states = self.attended_norm(self.attended(attended) + asked)
        return self.norm(self.narrow(self.activation(self.widen(states))) + states)


def attend(query: Any, key: Any, value: Any, kept: Any, heads: int) -> Any:
    """Return scaled dot-product attention: queries of (batch, asked, width) over the rest of (batch, tokens, width)."""
    split = [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value)]
    mask = kept[:, None, None, :].bool()
    return torch.nn.functional.scaled_dot_product_attention(*split, attn_mask=mask).transpose(1, 2).flatten(2)


class Attention(torch.autograd.Function):  # type: ignore[misc]
    """Scaled dot-product attention: PyTorch's own when run, one MultiHeadAttention operator when exported."""

    @staticmethod
    def forward(_: Any, query: Any, key: Any, value: Any, kept: Any, heads: int) -> Any:
        """Return what `attend` returns."""
        return attend(query, key, value, kept, heads)

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, kept: Any, heads: int) -> Any:
        """Write com.microsoft.MultiHeadAttention; its fifth input is the padding mask, its fourth, a bias, is none."""
        none = graph.op("prim::Constant")
        none.setType(torch._C.OptionalType.ofTensor())  # noqa: SLF001 - the exporter's way to leave an input out
        attended = graph.op("com.microsoft::MultiHeadAttention", query, key, value, none, kept, num_heads_i=heads)
        attended.setType(query.type())
        return attended
