"""Step 3: the fused graph comes in, the graph with 8-bit weights comes out, by onnxruntime's dynamic quantization.

Activations are quantized while the model runs, so no calibration data is needed. Every weight matrix must have become
8-bit: one left behind would cost four times the bytes without a word.
"""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from model_build.checkpoint import Checkpoint
from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from pathlib import Path

# A scale for each output of a matrix rather than one for all: nearer to full precision, no slower.
PER_CHANNEL = True

# 7 bits for weights: without VNNI, as Lambda may be, products of 8-bit numbers are added in pairs in 16 bits, which
# overflow: 2 * 255 * 127 > 32,767 >= 2 * 255 * 64.
REDUCE_RANGE = True


def quantize(fused: Path, folder: Path) -> dict[str, int]:
    """Write model.onnx into `folder`; return how many matrix products and look-ups were quantized."""
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
            weight_type=QuantType.QInt8,
            # The types of fused operators' outputs are not inferred; they are all float.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        logging.getLogger().removeFilter(_no_preprocessing_hint)
    quantized = _check(before, onnx.load(folder / "model.onnx"))
    shutil.copyfile(fused / "tokenizer.json", folder / "tokenizer.json")
    checkpoint.write(folder)
    print(f"quantize: {', '.join(f'{count} {kind}' for kind, count in quantized.items())}", flush=True)
    return quantized


def _check(before: onnx.ModelProto, after: onnx.ModelProto) -> dict[str, int]:
    weights = {tensor.name for tensor in before.graph.initializer}
    expected = sum(
        node.op_type in ("MatMul", "Gemm") and any(name in weights for name in node.input) for node in before.graph.node
    )
    products = sum(node.op_type == "MatMulInteger" for node in after.graph.node)
    tables = sum(
        tensor.data_type in (onnx.TensorProto.UINT8, onnx.TensorProto.INT8)
        and "embeddings" in tensor.name
        and len(tensor.dims) == 2
        for tensor in after.graph.initializer
    )
    left = [
        tensor.name
        for tensor in after.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1
    ]
    if left or products < expected or not products or not tables:
        raise ModelBuildError(
            f"{products} of {expected} matrix products and {tables} embedding tables were quantized, and these weights "
            f"are still 32-bit: {', '.join(left) or 'none'}; install the versions of requirements/build.txt"
        )
    return {"MatMulInteger": products, "8-bit embedding tables": tables}


def _no_preprocessing_hint(record: logging.LogRecord) -> bool:
    """Drop the advice to run shape inference first, which fails on fused operators."""
    return "pre-processing" not in record.getMessage()
