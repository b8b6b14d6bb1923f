"""Other forms of the table of word vectors: each stands in for `embeddings.shrink_words` while a candidate is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from model_build import embeddings

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

TABLE, FOUND = "words", "words_found"


def full_precision(graph: onnx.GraphProto, node: onnx.NodeProto, table: npt.NDArray[np.float32]) -> None:
    """Leave 32-bit numbers."""
    _add(graph, TABLE, table)
    embeddings.replace(graph, node, [_look_up("Gather", node, node.output[0])])


def one_scale(graph: onnx.GraphProto, node: onnx.NodeProto, table: npt.NDArray[np.float32]) -> None:
    """Look up 8-bit numbers that all share one scale."""
    scale = np.abs(table).max() / np.float32(127)
    _add(graph, TABLE, np.rint(table / scale).astype(np.int8))
    _add(graph, "words_scale", np.array(scale, dtype=np.float32))
    expand = helper.make_node("DequantizeLinear", [FOUND, "words_scale"], list(node.output), name="words_expand")
    embeddings.replace(graph, node, [_look_up("Gather", node, FOUND), expand])


def one_operator(graph: onnx.GraphProto, node: onnx.NodeProto, table: npt.NDArray[np.float32]) -> None:
    """Keep numbers and scales as they ship, two numbers a byte; GatherBlockQuantized looks up and expands them."""
    numbers, scales = embeddings.to_blocks(table)
    above_zero = (numbers + 8).astype(np.uint8)  # the operator takes 8 for zero if it is given no zero points
    _add(graph, TABLE, above_zero[:, ::2] | (above_zero[:, 1::2] << 4))
    _look_up_blocks(graph, node, scales)


def one_operator_int4(graph: onnx.GraphProto, node: onnx.NodeProto, table: npt.NDArray[np.float32]) -> None:
    """The same in ONNX's own type of 4-bit numbers, which needs the opset of `allow_int4`."""
    numbers, scales = embeddings.to_blocks(table)
    halves = numbers.astype(np.uint8) & 15
    packed = halves[:, ::2] | (halves[:, 1::2] << 4)
    graph.initializer.append(helper.make_tensor(TABLE, TensorProto.INT4, table.shape, packed.tobytes(), raw=True))
    _look_up_blocks(graph, node, scales)


def allow_int4(model: onnx.ModelProto) -> None:
    """Declare the first opset with 4-bit numbers; none of the operators used here has changed by then."""
    model.ir_version = 10
    next(opset for opset in model.opset_import if not opset.domain).version = 21


def _look_up_blocks(graph: onnx.GraphProto, node: onnx.NodeProto, scales: npt.NDArray[np.float32]) -> None:
    _add(graph, "words_scales", scales.astype(np.float16))
    look_up = _look_up("GatherBlockQuantized", node, FOUND)
    look_up.domain = "com.microsoft"
    look_up.input.append("words_scales")
    settings = {"bits": 4, "block_size": embeddings.BLOCK, "gather_axis": 0, "quantize_axis": 1}
    look_up.attribute.extend(helper.make_attribute(name, value) for name, value in settings.items())
    cast = helper.make_node("Cast", [FOUND], list(node.output), name="words_cast", to=TensorProto.FLOAT)
    embeddings.replace(graph, node, [look_up, cast])


def _add(graph: onnx.GraphProto, name: str, values: npt.NDArray[Any]) -> None:
    graph.initializer.append(numpy_helper.from_array(values, name))


def _look_up(kind: str, node: onnx.NodeProto, output: str) -> Any:
    return helper.make_node(kind, [TABLE, node.input[1]], [output], name="words_look_up")
