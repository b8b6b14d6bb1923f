"""Step 4: the quantized graph comes in, the graph as it is served comes out: optimized once, its weights beside it.

onnxruntime then has nothing left to do at start but to map the weights. Its "extended" level is the same on every CPU;
"all" would bake in this one's. A fusion that costs more than it saves is switched off by name.
"""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

import onnx
import onnxruntime

from model_build.checkpoint import Checkpoint
from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = "model.onnx.data"
SMALLEST_OUTSIDE = 1024  # bytes: what is smaller stays in the graph

# Each costs more than the operators that it replaces: docs/rewrites.md has the measurements.
UNPROFITABLE = ("SkipLayerNormFusion", "BiasGeluFusion")

# The products of 8-bit numbers as onnxruntime runs them: with their own quantization, or after a shared one.
PRODUCTS = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")


def optimize(quantized: Path, folder: Path) -> dict[str, int]:
    """Write model.onnx and its weights into `folder`; return how many products of each kind there are."""
    checkpoint = Checkpoint.read(quantized)
    expected = _kinds(quantized)["MatMulInteger"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).unlink(missing_ok=True)  # onnxruntime would append to it
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "model.onnx")
    options.log_severity_level = 3
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(SMALLEST_OUTSIDE)
    )
    onnxruntime.InferenceSession(
        str(quantized / "model.onnx"),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(UNPROFITABLE),
    )
    kinds = _kinds(folder)
    products = {kind: kinds[kind] for kind in PRODUCTS}
    if sum(products.values()) != expected or kinds["MatMulInteger"]:
        raise ModelBuildError(
            f"{sum(products.values())} of {expected} products of 8-bit numbers were fused: "
            "install the versions of requirements/build.txt"
        )
    shutil.copyfile(quantized / "tokenizer.json", folder / "tokenizer.json")
    checkpoint.write(folder)
    print(f"optimize: {', '.join(f'{count} {kind}' for kind, count in products.items())}", flush=True)
    return products


def _kinds(folder: Path) -> Counter[str]:
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    return Counter(node.op_type for node in graph.node)
