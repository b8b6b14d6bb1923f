"""Steps 2 to 4: fuse, quantize and optimize the exported graph.

onnxruntime's tools report success even if they leave an operator or a weight unchanged, so each step counts its changes
and fails if there are too few.

This module quantizes the embedding tables: word vectors to 4 bits with one scale per block, positions to 16-bit floats.
Word vectors are by far the largest matrix, and only the rows that a text looks up are dequantized, so this saves space
at almost no cost in time.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from model_build.errors import ModelBuildError
from model_build.manifest import CHECKPOINT_NAME, WEIGHTS, read_checkpoint
from model_build.verify import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

# The output folder of each step, in order.
FOLDERS = ("exported", "fused", "quantized", "optimized")

# The optimizer has no "roberta" type, but a RoBERTa has BERT's graph.
MODEL_TYPE = "bert"

# These fused operators are slower than the operators they replace: docs/rewrites.md has the measurements.
UNPROFITABLE_FUSIONS = (
    "enable_attention",
    "enable_bias_gelu",
    "enable_bias_skip_layer_norm",
    "enable_embed_layer_norm",
    "enable_skip_layer_norm",
)
UNPROFITABLE_OPTIMIZERS = ("SkipLayerNormFusion", "BiasGeluFusion")

GELU = ("Gelu", "FastGelu")
ATTENTION = "MultiHeadAttention"  # one per layer, written by the export step
FUSED_KINDS = (*GELU, "LayerNormalization")
QUANTIZED_KINDS = ("MatMul", "Gemm")
REDUCE_RANGE = True  # 7-bit weights, for CPUs without VNNI: see `verify.MAX_WEIGHT`
MIN_EXTERNAL_BYTES = 1024  # smaller tensors stay in the graph

BLOCK = 32  # numbers of a row that share a scale; half a byte per number and two bytes per scale
MAX_INT4 = 7  # the largest signed 4-bit number; -8 is not used, so that the grid is symmetric
# The scale that fits the largest number of a block need not have the smallest squared error, so several are tried.
SCALE_FACTORS = np.linspace(0.75, 1.0, 11, dtype=np.float32)


@contextmanager
def step(before: Path, after: Path) -> Iterator[dict[str, Any]]:
    """Prepare the folder `after` for a step's graph. When the graph is written, copy the accompanying files.

    Yields the contents of `checkpoint.json`, which is copied last: its presence means that the step is complete.
    """
    checkpoint = read_checkpoint(before)
    after.mkdir(parents=True, exist_ok=True)
    (after / CHECKPOINT_NAME).unlink(missing_ok=True)
    yield checkpoint
    for name in ("tokenizer.json", CHECKPOINT_NAME):
        shutil.copyfile(before / name, after / name)


def operators(folder: Path) -> Counter[str]:
    """Count the operators of a step's graph by kind."""
    return operators_of(onnx.load(folder / "model.onnx", load_external_data=False).graph)


def operators_of(graph: onnx.GraphProto) -> Counter[str]:
    """Count the operators of a graph by kind."""
    return Counter(node.op_type for node in graph.node)


def fuse(exported: Path, folder: Path) -> None:
    """Fuse operators with onnxruntime's transformer optimizer. Scores change only by rounding."""
    with step(exported, folder) as checkpoint:
        options = FusionOptions(MODEL_TYPE)
        for option in UNPROFITABLE_FUSIONS:
            setattr(options, option, False)
        optimized = optimize_model(
            str(exported / "model.onnx"),
            model_type=MODEL_TYPE,
            num_heads=checkpoint["heads"],
            hidden_size=checkpoint["hidden_size"],
            optimization_options=options,
            opt_level=0,  # fusions only: step 4 applies onnxruntime's own optimizations
        )
        before = operators(exported)
        after = operators_of(optimized.model.graph)
        # The optimizer's own statistics include operators from the export.
        fused = {kind: after[kind] - before[kind] for kind in FUSED_KINDS if after[kind] > before[kind]}
        layers = checkpoint["layers"]
        gelus = sum(fused.get(kind, 0) for kind in GELU)
        # One normalization after the embeddings and two per layer. Some may come from the export.
        normalizations, attentions = after["LayerNormalization"], after[ATTENTION]
        if gelus < layers or normalizations < 2 * layers + 1 or attentions < layers:
            raise ModelBuildError(
                f"asked for model type {MODEL_TYPE}, the optimizer fused {gelus} of {layers} Gelu operators and left "
                f"{normalizations} of {2 * layers + 1} LayerNormalization and {attentions} of {layers} {ATTENTION}: "
                "this onnxruntime does not recognise this exporter's graph; install the versions of "
                "requirements/build.txt"
            )
        optimized.save_model_to_file(str(folder / "model.onnx"))
    _print("fuse", fused)


def quantize(fused: Path, folder: Path) -> None:
    """Quantize matrices to 8 bits and word vectors to 4 bits. Activations are quantized at run time."""
    with step(fused, folder):
        logging.disable(logging.WARNING)  # hides the advice to run shape inference, which fails on fused operators
        try:
            quantize_dynamic(
                fused / "model.onnx",
                folder / "model.onnx",
                per_channel=True,  # one scale per output is more precise and costs little time
                reduce_range=REDUCE_RANGE,
                op_types_to_quantize=list(QUANTIZED_KINDS),
                weight_type=QuantType.QInt8,
                # The output types of fused operators cannot be inferred, but are all float.
                extra_options={"DefaultTensorType": TensorProto.FLOAT},
            )
        finally:
            logging.disable(logging.NOTSET)
        after = onnx.load(folder / "model.onnx")
        words = quantize_embeddings(after)
        products = operators_of(after.graph)["MatMulInteger"]
        before = onnx.load(fused / "model.onnx").graph
        weights = {tensor.name for tensor in before.initializer}
        expected = sum(node.op_type in QUANTIZED_KINDS and not weights.isdisjoint(node.input) for node in before.node)
        floats = (tensor for tensor in after.graph.initializer if tensor.data_type == TensorProto.FLOAT)
        left = [tensor.name for tensor in floats if len(tensor.dims) == 2]  # MPNet's distance table has three
        if left or products < expected or not products:
            raise ModelBuildError(
                f"{products} of {expected} matrix products were quantized, and these weights are still 32-bit: "
                f"{', '.join(left) or 'none'}; install the versions of requirements/build.txt"
            )
        onnx.save(after, folder / "model.onnx")
    print(f"quantize: {products} matrix products in 8 bits, {words:,} word vectors in 4 bits", flush=True)


def optimize(quantized: Path, folder: Path) -> None:
    """Apply onnxruntime's optimizations once, and store the weights beside the graph, to be memory-mapped at start.

    The level "extended" gives the same graph on every CPU, while "all" would depend on the build machine's CPU.
    """
    with step(quantized, folder):
        (folder / WEIGHTS).unlink(missing_ok=True)  # onnxruntime would append to it
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(folder / "model.onnx")
        options.log_severity_level = 3
        prefix = "session.optimized_model_external_initializers"
        options.add_session_config_entry(f"{prefix}_file_name", WEIGHTS)
        options.add_session_config_entry(f"{prefix}_min_size_in_bytes", str(MIN_EXTERNAL_BYTES))
        onnxruntime.InferenceSession(
            str(quantized / "model.onnx"),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(UNPROFITABLE_OPTIMIZERS),
        )
        expected, kinds = operators(quantized)["MatMulInteger"], operators(folder)
        products = {kind: kinds[kind] for kind in PRODUCTS}
        if sum(products.values()) != expected or kinds["MatMulInteger"]:
            raise ModelBuildError(
                f"{sum(products.values())} of {expected} 8-bit matrix products were fused: "
                "install the versions of requirements/build.txt"
            )
    _print("optimize", products)


def _print(name: str, counts: Mapping[str, int]) -> None:
    print(f"{name}: {', '.join(f'{count} {kind}' for kind, count in counts.items())}", flush=True)


def quantize_embeddings(model: onnx.ModelProto) -> int:
    """Quantize the tables of words and positions in place; return the number of word vectors.

    Raises ModelBuildError if the graph has other tables, or if the width is not a multiple of BLOCK.
    """
    graph = model.graph
    tables = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    look_ups = [node for node in graph.node if node.op_type == "Gather" and node.input[0] in tables]
    slices = [node for node in graph.node if node.op_type == "Slice" and node.input[0] in tables]
    if len(look_ups) != 1 or len(slices) != 1:
        raise ModelBuildError(
            f"expected one word table and one position table, found {len(look_ups)} and {len(slices)}: "
            "install the versions of requirements/build.txt"
        )
    words, positions = (numpy_helper.to_array(tables[node.input[0]]) for node in (look_ups[0], slices[0]))
    if words.shape[1] % BLOCK:
        raise ModelBuildError(f"the width of the model, {words.shape[1]}, is not a multiple of {BLOCK}: use another")
    _quantize_words(graph, look_ups[0], words)
    _quantize_positions(graph, slices[0], positions)
    for node in (look_ups[0], slices[0]):
        graph.initializer.remove(tables[node.input[0]])
    return len(words)


def quantize_blocks(table: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Quantize a table to numbers from -7 to 7, (rows, width), with scales, (rows, width / BLOCK)."""
    blocks = table.reshape(len(table), -1, BLOCK)
    widest = np.abs(blocks).max(axis=2, keepdims=True) / MAX_INT4
    widest = np.where(widest == 0, np.float32(1), widest)
    best_error = np.full(widest.shape, np.inf, dtype=np.float32)
    best_scale = widest
    for factor in SCALE_FACTORS:
        scale = widest * factor
        rounded = np.clip(np.rint(blocks / scale), -MAX_INT4, MAX_INT4) * scale
        error = np.square(rounded - blocks).sum(axis=2, keepdims=True)
        best_scale = np.where(error < best_error, scale, best_scale)
        best_error = np.minimum(error, best_error)
    numbers = np.clip(np.rint(blocks / best_scale), -MAX_INT4, MAX_INT4).astype(np.int8)
    return numbers.reshape(table.shape), best_scale[:, :, 0].astype(np.float32)


def _quantize_words(graph: onnx.GraphProto, node: onnx.NodeProto, table: npt.NDArray[np.float32]) -> None:
    """Look up packed rows and their scales, and dequantize them with standard ONNX operators.

    onnxruntime's GatherBlockQuantized is slower on 4-bit tensors: docs/rewrites.md has the figures.
    """
    numbers, scales = quantize_blocks(table)
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


def _quantize_positions(graph: onnx.GraphProto, node: onnx.NodeProto, table: npt.NDArray[np.float32]) -> None:
    graph.initializer.append(numpy_helper.from_array(table.astype(np.float16), "positions"))
    sliced = helper.make_node("Slice", ["positions", *node.input[1:]], ["positions_16_bit"], name="positions")
    cast = helper.make_node("Cast", ["positions_16_bit"], node.output, name="positions_cast", to=TensorProto.FLOAT)
    _replace(graph, node, [sliced, cast])


def _replace(graph: onnx.GraphProto, node: onnx.NodeProto, others: list[onnx.NodeProto]) -> None:
    """Replace a node with others, in this order."""
    place = list(graph.node).index(node)
    graph.node.remove(node)
    for other in reversed(others):
        graph.node.insert(place, other)
