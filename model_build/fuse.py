"""Step 2: fuse operators with onnxruntime's transformer optimizer, which changes scores by rounding only.

The optimizer reports success even where it does not recognise a graph, so the fused operators are counted here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from model_build.errors import ModelBuildError
from model_build.steps import operators, step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The optimizer does not know "roberta", whose graph is BERT's.
MODEL_TYPE = "bert"

# Each of these fused operators is slower than what it replaces: docs/rewrites.md has the measurements.
UNPROFITABLE = (
    "enable_attention",
    "enable_bias_gelu",
    "enable_bias_skip_layer_norm",
    "enable_embed_layer_norm",
    "enable_skip_layer_norm",
)

GELU = ("Gelu", "FastGelu")
ATTENTION = "MultiHeadAttention"  # one per layer, written by the export
FUSED_KINDS = (*GELU, "LayerNormalization")


def fuse(exported: Path, folder: Path) -> None:
    """Write model.onnx into `folder`; raises ModelBuildError if less was fused than the layers need."""
    with step(exported, folder) as checkpoint:
        options = FusionOptions(MODEL_TYPE)
        for option in UNPROFITABLE:
            setattr(options, option, False)
        optimized = optimize_model(
            str(exported / "model.onnx"),
            model_type=MODEL_TYPE,
            num_heads=checkpoint.heads,
            hidden_size=checkpoint.hidden_size,
            optimization_options=options,
            opt_level=0,  # fusions only: step 4 applies onnxruntime's own optimizations
        )
        before = operators(exported)
        after = Counter(node.op_type for node in optimized.model.graph.node)
        # The optimizer's own statistics also count operators that the exporter wrote.
        fused = {kind: after[kind] - before[kind] for kind in FUSED_KINDS if after[kind] > before[kind]}
        _check(fused, after, checkpoint.layers)
        optimized.save_model_to_file(str(folder / "model.onnx"))
    print(f"fuse: {', '.join(f'{count} {kind}' for kind, count in fused.items())}", flush=True)


def _check(fused: Mapping[str, int], after: Mapping[str, int], layers: int) -> None:
    gelus = sum(fused.get(kind, 0) for kind in GELU)
    # One normalization after the embeddings and two in every layer; the exporter may have written some of them.
    normalizations, attentions = after["LayerNormalization"], after[ATTENTION]
    if gelus < layers or normalizations < 2 * layers + 1 or attentions < layers:
        raise ModelBuildError(
            f"asked for model type {MODEL_TYPE}, the optimizer fused {gelus} of {layers} Gelu operators and left "
            f"{normalizations} of {2 * layers + 1} LayerNormalization and {attentions} of {layers} {ATTENTION}: "
            "this onnxruntime does not recognise what this exporter writes; install the versions of "
            "requirements/build.txt"
        )
