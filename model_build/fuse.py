"""Step 2: the exported graph comes in, the same graph with fused operators comes out, by onnxruntime's optimizer.

Exact but for rounding. The optimizer leaves a graph that it does not understand as it is and calls that a success,
so what was fused is counted here, and too little is an error.
"""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

import onnx
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from model_build.checkpoint import Checkpoint
from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The optimizer does not know "roberta", whose graph is BERT's.
MODEL_TYPE = "bert"

# Each costs more than the operators that it replaces: docs/rewrites.md has the measurements.
UNPROFITABLE = (
    "enable_attention",
    "enable_bias_gelu",
    "enable_bias_skip_layer_norm",
    "enable_embed_layer_norm",
    "enable_skip_layer_norm",
)

GELU = ("Gelu", "FastGelu")
ATTENTION = "MultiHeadAttention"  # made by the export, one a layer
FUSED_KINDS = (*GELU, "LayerNormalization")


def fuse(exported: Path, folder: Path) -> dict[str, int]:
    """Write model.onnx into `folder`; return how many operators of each kind were made by fusing others."""
    checkpoint = Checkpoint.read(exported)
    options = FusionOptions(MODEL_TYPE)
    for option in UNPROFITABLE:
        setattr(options, option, False)
    optimized = optimize_model(
        str(exported / "model.onnx"),
        model_type=MODEL_TYPE,
        num_heads=checkpoint.heads,
        hidden_size=checkpoint.hidden_size,
        optimization_options=options,
        opt_level=0,  # the fusions alone: onnxruntime's own optimizations are made when the session is loaded
    )
    before = Counter(node.op_type for node in onnx.load(exported / "model.onnx", load_external_data=False).graph.node)
    after = Counter(node.op_type for node in optimized.model.graph.node)
    # Not the optimizer's own statistics: they count as fused what the exporter already wrote as one operator.
    fused = {kind: after[kind] - before[kind] for kind in FUSED_KINDS if after[kind] > before[kind]}
    _check(fused, after, checkpoint.layers)
    folder.mkdir(parents=True, exist_ok=True)
    optimized.save_model_to_file(str(folder / "model.onnx"))
    shutil.copyfile(exported / "tokenizer.json", folder / "tokenizer.json")
    checkpoint.write(folder)
    print(f"fuse: {', '.join(f'{count} {kind}' for kind, count in fused.items())}", flush=True)
    return fused


def _check(fused: Mapping[str, int], after: Mapping[str, int], layers: int) -> None:
    gelus = sum(fused.get(kind, 0) for kind in GELU)
    # One normalization closes the embeddings and both halves of every layer, whoever made it one operator; attention
    # is one operator since the export.
    normalizations, attentions = after["LayerNormalization"], after[ATTENTION]
    if gelus < layers or normalizations < 2 * layers + 1 or attentions < layers:
        raise ModelBuildError(
            f"asked for model type {MODEL_TYPE}, the optimizer fused {gelus} of {layers} Gelu operators and left "
            f"{normalizations} of {2 * layers + 1} LayerNormalization and {attentions} of {layers} {ATTENTION}: "
            "this onnxruntime does not recognise what this exporter writes; install the versions of "
            "requirements/build.txt"
        )
