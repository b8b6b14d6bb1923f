"""Other forms of the activation between the two large products: each takes the fused graph and changes it in place."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from model_build.embeddings import replace


def bias_gelu(model: onnx.ModelProto) -> None:
    """Let the activation add the bias of the product before it."""
    graph = model.graph
    made_by = {output: node for node in graph.node for output in node.output}
    for node in _gelus(graph):
        add = made_by[node.input[0]]
        bias, product = sorted(add.input, key=lambda part: part in made_by)
        node.op_type = "BiasGelu"
        del node.input[:]
        node.input.extend([product, bias])
        graph.node.remove(add)


def fast_gelu(model: onnx.ModelProto) -> None:
    """Use the approximation by a hyperbolic tangent."""
    for node in _gelus(model.graph):
        node.op_type = "FastGelu"


def plain_gelu(model: onnx.ModelProto) -> None:
    """Write x / 2 * (1 + erf(x / sqrt(2))) as the five operators that it was fused from."""
    graph = model.graph
    constants = {"gelu_root": np.sqrt(2), "gelu_one": 1, "gelu_half": 0.5}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, dtype=np.float32), name) for name, value in constants.items()
    )
    for node in _gelus(graph):
        entry, name = node.input[0], node.name
        steps = (
            ("Div", [entry, "gelu_root"], f"{name}_scaled"),
            ("Erf", [f"{name}_scaled"], f"{name}_erf"),
            ("Add", [f"{name}_erf", "gelu_one"], f"{name}_sum"),
            ("Mul", [entry, f"{name}_sum"], f"{name}_product"),
            ("Mul", [f"{name}_product", "gelu_half"], node.output[0]),
        )
        nodes = [helper.make_node(kind, inputs, [output], name=f"{output}_{kind}") for kind, inputs, output in steps]
        replace(graph, node, nodes)


def _gelus(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    return [node for node in graph.node if node.op_type == "Gelu"]
