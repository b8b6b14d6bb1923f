"""Other forms of attention: each takes the fused graph of 32-bit numbers and changes it in place.

The export leaves queries, keys and values as three products with a bias each, and one
MultiHeadAttention that reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

from model_build.embeddings import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx


@dataclass(frozen=True)
class Product:
    """States times a matrix plus a bias: one of queries, keys and values."""

    matmul: onnx.NodeProto
    add: onnx.NodeProto
    states: str
    weight: str
    bias: str


def bias_in_operator(model: onnx.ModelProto) -> None:
    """Let MultiHeadAttention add the three biases."""
    graph = model.graph
    for attention, products in _attentions(graph):
        bias = _joined(graph, [product.bias for product in products], f"{attention.name}_bias")
        for place, product in enumerate(products):
            attention.input[place] = product.matmul.output[0]
            graph.node.remove(product.add)
        attention.input[3] = bias


def merged_matrix(model: onnx.ModelProto) -> None:
    """Multiply the states by one matrix for queries, keys and values; by one for keys and values in the last layer."""
    graph = model.graph
    for attention, products in _attentions(graph):
        # The last layer asks for its first token alone: its queries are made from other states than the rest.
        merged = [product for product in products if product.states == products[-1].states]
        name = f"{attention.name}_merged"
        weight = _joined(graph, [product.weight for product in merged], f"{name}_weight")
        bias = _joined(graph, [product.bias for product in merged], f"{name}_bias")
        parts = [product.add.output[0] for product in merged]
        nodes = [
            helper.make_node("MatMul", [merged[0].states, weight], [f"{name}_product"], name=f"{name}_MatMul"),
            helper.make_node("Add", [f"{name}_product", bias], [f"{name}_sum"], name=f"{name}_Add"),
            helper.make_node("Split", [f"{name}_sum"], parts, name=f"{name}_Split", axis=2, num_outputs=len(parts)),
        ]
        replace(graph, attention, [*nodes, attention])
        _remove(graph, merged)


def attention_operator(model: onnx.ModelProto) -> None:
    """Use com.microsoft.Attention, which holds the three products; the last layer, with other queries, stays."""
    graph = model.graph
    for attention, products in _attentions(graph):
        if len({product.states for product in products}) > 1:
            continue
        weight = _joined(graph, [product.weight for product in products], f"{attention.name}_weight")
        bias = _joined(graph, [product.bias for product in products], f"{attention.name}_bias")
        whole = helper.make_node(
            "Attention",
            [products[0].states, weight, bias, attention.input[4]],
            list(attention.output),
            name=f"{attention.name}_whole",
            domain="com.microsoft",
            num_heads=next(field.i for field in attention.attribute if field.name == "num_heads"),
        )
        replace(graph, attention, [whole])
        _remove(graph, products)


def _attentions(graph: onnx.GraphProto) -> list[tuple[onnx.NodeProto, list[Product]]]:
    made_by = {output: node for node in graph.node for output in node.output}
    return [
        (node, [_product(made_by, name) for name in node.input[:3]])
        for node in graph.node
        if node.op_type == "MultiHeadAttention"
    ]


def _product(made_by: dict[str, onnx.NodeProto], name: str) -> Product:
    add = made_by[name]
    bias, product = sorted(add.input, key=lambda part: part in made_by)
    matmul = made_by[product]
    return Product(matmul, add, states=matmul.input[0], weight=matmul.input[1], bias=bias)


def _joined(graph: onnx.GraphProto, names: Sequence[str], name: str) -> str:
    """Add a weight that holds those of `names` side by side."""
    found = {tensor.name: tensor for tensor in graph.initializer if tensor.name in names}
    whole = np.concatenate([numpy_helper.to_array(found[part]) for part in names], axis=-1)
    graph.initializer.append(numpy_helper.from_array(whole, name))
    return name


def _remove(graph: onnx.GraphProto, products: Sequence[Product]) -> None:
    for product in products:
        graph.node.remove(product.add)
        graph.node.remove(product.matmul)
        graph.initializer.remove(next(tensor for tensor in graph.initializer if tensor.name == product.weight))
