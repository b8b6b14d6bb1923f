"""Step 3: quantize matrices to 8 bits and word vectors to 4 bits.

onnxruntime's dynamic quantization quantizes activations while the model runs, so it needs no calibration data. It
skips weights that it does not recognise without a warning, so what is left at 32 bits is an error here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from model_build.embeddings import shrink_embeddings
from model_build.errors import ModelBuildError
from model_build.steps import step

if TYPE_CHECKING:
    from pathlib import Path

OPERATORS = ("MatMul", "Gemm")

# Weights have 7 bits, for processors without VNNI: `verify.check_weights` says why.
REDUCE_RANGE = True


def quantize(fused: Path, folder: Path) -> None:
    """Write model.onnx into `folder`; raises ModelBuildError if a weight matrix was not quantized."""
    with step(fused, folder):
        logging.getLogger().addFilter(_no_preprocessing_hint)
        try:
            quantize_dynamic(
                fused / "model.onnx",
                folder / "model.onnx",
                per_channel=True,  # a scale for each output: more precise for little time
                reduce_range=REDUCE_RANGE,
                op_types_to_quantize=list(OPERATORS),
                weight_type=QuantType.QInt8,
                # The types of fused operators' outputs are not inferred; they are all float.
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
            )
        finally:
            logging.getLogger().removeFilter(_no_preprocessing_hint)
        after = onnx.load(folder / "model.onnx")
        words = shrink_embeddings(after)
        products = _check(onnx.load(fused / "model.onnx"), after)
        onnx.save(after, folder / "model.onnx")
    print(f"quantize: {products} matrix products in 8 bits, {words:,} word vectors in 4 bits", flush=True)


def _check(before: onnx.ModelProto, after: onnx.ModelProto) -> int:
    """Return the number of quantized products."""
    weights = {tensor.name for tensor in before.graph.initializer}
    expected = sum(node.op_type in OPERATORS and not weights.isdisjoint(node.input) for node in before.graph.node)
    products: int = sum(node.op_type == "MatMulInteger" for node in after.graph.node)
    left = [
        tensor.name
        for tensor in after.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1
    ]
    if left or products < expected or not products:
        raise ModelBuildError(
            f"{products} of {expected} matrix products were quantized, and these weights are still 32-bit: "
            f"{', '.join(left) or 'none'}; install the versions of requirements/build.txt"
        )
    return products


def _no_preprocessing_hint(record: logging.LogRecord) -> bool:
    """Drop the advice to run shape inference first, which fails on fused operators."""
    return "pre-processing" not in record.getMessage()
