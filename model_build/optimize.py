"""Step 4: apply onnxruntime's optimizations once, at build time, and store the weights beside the graph.

At start, onnxruntime then only maps the weights into memory. Its "extended" level gives the same graph on every CPU;
"all" would depend on the CPU of the build.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnxruntime

from model_build.errors import ModelBuildError
from model_build.steps import operators, step

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = "model.onnx.data"
SMALLEST_OUTSIDE = 1024  # bytes; smaller tensors stay in the graph

# Each of these fused operators is slower than what it replaces: docs/rewrites.md has the measurements.
UNPROFITABLE = ("SkipLayerNormFusion", "BiasGeluFusion")

# Products of 8-bit numbers as onnxruntime runs them: with a quantization of their own, or sharing one.
PRODUCTS = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")


def optimize(quantized: Path, folder: Path) -> None:
    """Write model.onnx and its weights into `folder`; raises ModelBuildError if a product was not fused."""
    with step(quantized, folder):
        (folder / WEIGHTS).unlink(missing_ok=True)  # onnxruntime would append to it
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(folder / "model.onnx")
        options.log_severity_level = 3
        prefix = "session.optimized_model_external_initializers"
        options.add_session_config_entry(f"{prefix}_file_name", WEIGHTS)
        options.add_session_config_entry(f"{prefix}_min_size_in_bytes", str(SMALLEST_OUTSIDE))
        onnxruntime.InferenceSession(
            str(quantized / "model.onnx"),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(UNPROFITABLE),
        )
        expected, kinds = operators(quantized)["MatMulInteger"], operators(folder)
        products = {kind: kinds[kind] for kind in PRODUCTS}
        if sum(products.values()) != expected or kinds["MatMulInteger"]:
            raise ModelBuildError(
                f"{sum(products.values())} of {expected} products of 8-bit numbers were fused: "
                "install the versions of requirements/build.txt"
            )
    print(f"optimize: {', '.join(f'{count} {kind}' for kind, count in products.items())}", flush=True)
