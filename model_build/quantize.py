"""Step 3: the fused graph comes in, the graph with 8-bit products and 4-bit word vectors comes out.

onnxruntime's dynamic quantization quantizes activations while the model runs, so no calibration data is needed. Every
weight matrix must have become smaller: one left behind would cost four times the bytes without a word.
"""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from model_build.checkpoint import Checkpoint
from model_build.embeddings import shrink_embeddings
from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from pathlib import Path

# A scale for each output of a matrix rather than one for all: nearer to full precision for little time.
PER_CHANNEL = True

# The operators whose weights become 8-bit numbers, and the beginnings of the names of weights that do not.
OPERATORS = ("MatMul", "Gemm")
KEPT: tuple[str, ...] = ()

# 7 bits for weights: without VNNI, as Lambda may be, products of 8-bit numbers are added in pairs in 16 bits, which
# overflow: 2 * 255 * 127 > 32,767 >= 2 * 255 * 64.
REDUCE_RANGE = True


def quantize(fused: Path, folder: Path) -> int:
    """Write model.onnx into `folder`; return how many matrix products were quantized."""
    checkpoint = Checkpoint.read(fused)
    before = onnx.load(fused / "model.onnx")
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger().addFilter(_no_preprocessing_hint)
    try:
        quantize_dynamic(
            fused / "model.onnx",
            folder / "model.onnx",
            per_channel=PER_CHANNEL,
            reduce_range=REDUCE_RANGE,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=_kept_nodes(before),
            weight_type=QuantType.QInt8,
            # The types of fused operators' outputs are not inferred; they are all float.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        logging.getLogger().removeFilter(_no_preprocessing_hint)
    after = onnx.load(folder / "model.onnx")
    tables = shrink_embeddings(after)
    products = _check(before, after)
    onnx.save(after, folder / "model.onnx")
    shutil.copyfile(fused / "tokenizer.json", folder / "tokenizer.json")
    checkpoint.write(folder)
    print(f"quantize: {products} matrix products in 8 bits, {tables}", flush=True)
    return products


def _check(before: onnx.ModelProto, after: onnx.ModelProto) -> int:
    weights = {tensor.name for tensor in before.graph.initializer}
    expected = sum(
        node.op_type in ("MatMul", "Gemm") and any(name in weights and not _is_kept(name) for name in node.input)
        for node in before.graph.node
    )
    products = [node.op_type for node in after.graph.node].count("MatMulInteger")
    left = [
        tensor.name
        for tensor in after.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1 and not _is_kept(tensor.name)
    ]
    if left or products < expected or not products:
        raise ModelBuildError(
            f"{products} of {expected} matrix products were quantized, and these weights are still 32-bit: "
            f"{', '.join(left) or 'none'}; install the versions of requirements/build.txt"
        )
    return products


def _kept_nodes(model: onnx.ModelProto) -> list[str]:
    kept = [node.name for node in model.graph.node if any(map(_is_kept, node.input))]
    return kept + [f"{name}_MatMul" for name in kept]  # what the quantizer calls a Gemm that it has taken apart


def _is_kept(name: str) -> bool:
    return name.startswith(KEPT)


def _no_preprocessing_hint(record: logging.LogRecord) -> bool:
    """Drop the advice to run shape inference first, which fails on fused operators."""
    return "pre-processing" not in record.getMessage()
