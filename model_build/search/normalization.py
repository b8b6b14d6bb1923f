"""Another form of the sums and normalizations that close each half of a layer; it changes the fused graph in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import helper

from model_build.embeddings import replace

if TYPE_CHECKING:
    import onnx


def skip_layer_normalization(model: onnx.ModelProto) -> None:
    """Add what a half of a layer was given and normalize in one operator; the sum of the embeddings stays."""
    graph = model.graph
    made_by = {output: node for node in graph.node for output in node.output}
    for node in [node for node in graph.node if node.op_type == "LayerNormalization"]:
        add = made_by[node.input[0]]
        # Both parts of the embeddings' sum are looked up rather than computed.
        if {made_by[part].op_type for part in add.input} & {"Gather", "Slice"} == {"Gather", "Slice"}:
            continue
        whole = helper.make_node(
            "SkipLayerNormalization",
            [*add.input, *node.input[1:]],
            list(node.output),
            name=f"{node.name}_with_sum",
            domain="com.microsoft",
            epsilon=next(field.f for field in node.attribute if field.name == "epsilon"),
        )
        graph.node.remove(add)
        replace(graph, node, [whole])
