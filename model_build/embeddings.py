"""Quantize the embedding tables: word vectors to 4 bits with a scale for every block, positions to 16-bit floats.

The word vectors are by far the largest matrix. Only the rows that a text looks up are ever expanded, so this saves
bytes and costs almost no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    import numpy.typing as npt

BLOCK = 32  # numbers of a row that share a scale; half a byte per number and two bytes per scale
LARGEST = 7  # of a signed 4-bit number; -8 is not used, so that the grid is symmetric
# The scale that fits the largest number of a block need not have the smallest squared error, so several are tried.
SHRINKINGS = np.linspace(0.75, 1.0, 11, dtype=np.float32)


def shrink_embeddings(model: onnx.ModelProto) -> int:
    """Replace the look-up of words and the slice of positions in place; return the number of word vectors.

    Raises ModelBuildError if the graph has other tables, or if word vectors do not divide into blocks.
    """
    graph = model.graph
    tables = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    look_ups = [node for node in graph.node if node.op_type == "Gather" and node.input[0] in tables]
    slices = [node for node in graph.node if node.op_type == "Slice" and node.input[0] in tables]
    if len(look_ups) != 1 or len(slices) != 1:
        raise ModelBuildError(
            f"expected one table of words and one of positions, found {len(look_ups)} and {len(slices)}: "
            "install the versions of requirements/build.txt"
        )
    words, positions = (numpy_helper.to_array(tables[node.input[0]]) for node in (look_ups[0], slices[0]))
    if words.shape[1] % BLOCK:
        raise ModelBuildError(f"word vectors of {words.shape[1]} numbers do not divide into blocks of {BLOCK}")
    _shrink_words(graph, look_ups[0], words)
    _shrink_positions(graph, slices[0], positions)
    for node in (look_ups[0], slices[0]):
        graph.initializer.remove(tables[node.input[0]])
    return len(words)


def to_blocks(table: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return (rows, width) numbers from -7 to 7 and their (rows, width / BLOCK) scales."""
    blocks = table.reshape(len(table), -1, BLOCK)
    widest = np.abs(blocks).max(axis=2, keepdims=True) / LARGEST
    widest = np.where(widest == 0, np.float32(1), widest)
    best_error = np.full(widest.shape, np.inf, dtype=np.float32)
    best_scale = widest
    for shrinking in SHRINKINGS:
        scale = widest * shrinking
        rounded = np.clip(np.rint(blocks / scale), -LARGEST, LARGEST) * scale
        error = np.square(rounded - blocks).sum(axis=2, keepdims=True)
        best_scale = np.where(error < best_error, scale, best_scale)
        best_error = np.minimum(error, best_error)
    numbers = np.clip(np.rint(blocks / best_scale), -LARGEST, LARGEST).astype(np.int8)
    return numbers.reshape(table.shape), best_scale[:, :, 0].astype(np.float32)


def _shrink_words(graph: onnx.GraphProto, node: onnx.NodeProto, table: npt.NDArray[np.float32]) -> None:
    """Look up packed numbers and scales, and expand the rows found, with ONNX's own operators.

    onnxruntime's GatherBlockQuantized is slower on 4-bit tensors: docs/rewrites.md has the figures.
    """
    numbers, scales = to_blocks(table)
    half = table.shape[1] // 2
    unsigned = (numbers + 8).astype(np.uint8)
    constants = {
        "words": unsigned[:, :half] | (unsigned[:, half:] << 4),
        "words_scales": scales.astype(np.float16),
        "words_low": np.array(15, dtype=np.uint8),
        "words_high": np.array(4, dtype=np.uint8),
        "words_zero": np.array(8, dtype=np.float32),
        "words_blocks": np.array([0, 0, scales.shape[1], BLOCK], dtype=np.int64),  # 0 keeps a dimension as it is
        "words_row": np.array([0, 0, table.shape[1]], dtype=np.int64),
        "words_last": np.array([3], dtype=np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    operations: tuple[tuple[str, list[str], str, dict[str, Any]], ...] = (
        ("Gather", ["words", node.input[1]], "packed", {}),
        ("BitwiseAnd", ["packed", "words_low"], "first_half", {}),
        ("BitShift", ["packed", "words_high"], "second_half", {"direction": "RIGHT"}),
        ("Concat", ["first_half", "second_half"], "unpacked", {"axis": 2}),
        ("Cast", ["unpacked"], "numbers", {"to": TensorProto.FLOAT}),
        ("Sub", ["numbers", "words_zero"], "signed", {}),
        ("Reshape", ["signed", "words_blocks"], "blocks", {}),
        ("Gather", ["words_scales", node.input[1]], "scales_16_bit", {}),
        ("Cast", ["scales_16_bit"], "scales", {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["scales", "words_last"], "scales_of_blocks", {}),
        ("Mul", ["blocks", "scales_of_blocks"], "scaled", {}),
        ("Reshape", ["scaled", "words_row"], node.output[0], {}),
    )
    nodes = [
        helper.make_node(kind, inputs, [output], name=f"words_{kind}_{output}", **attributes)
        for kind, inputs, output, attributes in operations
    ]
    _replace(graph, node, nodes)


def _shrink_positions(graph: onnx.GraphProto, node: onnx.NodeProto, table: npt.NDArray[np.float32]) -> None:
    graph.initializer.append(numpy_helper.from_array(table.astype(np.float16), "positions"))
    sliced = helper.make_node("Slice", ["positions", *node.input[1:]], ["positions_16_bit"], name="positions")
    cast = helper.make_node("Cast", ["positions_16_bit"], node.output, name="positions_cast", to=TensorProto.FLOAT)
    _replace(graph, node, [sliced, cast])


def _replace(graph: onnx.GraphProto, node: onnx.NodeProto, others: list[onnx.NodeProto]) -> None:
    """Put other nodes in the place of a node, in this order."""
    place = list(graph.node).index(node)
    graph.node.remove(node)
    for other in reversed(others):
        graph.node.insert(place, other)
