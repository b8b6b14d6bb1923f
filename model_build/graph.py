"""Steps 2 to 4: fuse, quantize and optimize the exported graph.

onnxruntime's tools report success even where they leave an operator or a weight as it was, so each step counts what it
has changed, and too little is an error.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from model_build.embeddings import shrink_embeddings
from model_build.errors import ModelBuildError
from model_build.manifest import CHECKPOINT_NAME, WEIGHTS, read_checkpoint
from model_build.verify import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# In which each step leaves its graph, in order.
FOLDERS = ("exported", "fused", "quantized", "optimized")

# The optimizer does not know "roberta", whose graph is BERT's.
MODEL_TYPE = "bert"

# Each of these fused operators is slower than what it replaces: docs/rewrites.md has the measurements.
UNPROFITABLE_FUSIONS = (
    "enable_attention",
    "enable_bias_gelu",
    "enable_bias_skip_layer_norm",
    "enable_embed_layer_norm",
    "enable_skip_layer_norm",
)
UNPROFITABLE_OPTIMIZERS = ("SkipLayerNormFusion", "BiasGeluFusion")

GELU = ("Gelu", "FastGelu")
ATTENTION = "MultiHeadAttention"  # one per layer, written by the export
FUSED_KINDS = (*GELU, "LayerNormalization")
QUANTIZED_KINDS = ("MatMul", "Gemm")
REDUCE_RANGE = True  # weights have 7 bits, for processors without VNNI: `verify.check_weights` says why
SMALLEST_OUTSIDE = 1024  # bytes; smaller tensors stay in the graph


@contextmanager
def step(before: Path, after: Path) -> Iterator[dict[str, Any]]:
    """Prepare the folder `after` for the graph of the next step; once that is written, copy what goes with it.

    Yields the facts about the checkpoint. They are copied last: with them a step is complete.
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
    """Fuse operators with onnxruntime's transformer optimizer, which changes scores by rounding only."""
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
        # The optimizer's own statistics also count operators that the exporter wrote.
        fused = {kind: after[kind] - before[kind] for kind in FUSED_KINDS if after[kind] > before[kind]}
        gelus, layers = sum(fused.get(kind, 0) for kind in GELU), checkpoint["layers"]
        # One normalization after the embeddings and two in every layer; the exporter may have written some of them.
        normalizations, attentions = after["LayerNormalization"], after[ATTENTION]
        if gelus < layers or normalizations < 2 * layers + 1 or attentions < layers:
            raise ModelBuildError(
                f"asked for model type {MODEL_TYPE}, the optimizer fused {gelus} of {layers} Gelu operators and left "
                f"{normalizations} of {2 * layers + 1} LayerNormalization and {attentions} of {layers} {ATTENTION}: "
                "this onnxruntime does not recognise what this exporter writes; install the versions of "
                "requirements/build.txt"
            )
        optimized.save_model_to_file(str(folder / "model.onnx"))
    _print("fuse", fused)


def quantize(fused: Path, folder: Path) -> None:
    """Quantize matrices to 8 bits and word vectors to 4 bits; activations are quantized while the model runs."""
    with step(fused, folder):
        logging.disable(logging.WARNING)  # the advice to run shape inference first, which fails on fused operators
        try:
            quantize_dynamic(
                fused / "model.onnx",
                folder / "model.onnx",
                per_channel=True,  # a scale for each output: more precise for little time
                reduce_range=REDUCE_RANGE,
                op_types_to_quantize=list(QUANTIZED_KINDS),
                weight_type=QuantType.QInt8,
                # The types of fused operators' outputs are not inferred; they are all float.
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
            )
        finally:
            logging.disable(logging.NOTSET)
        after = onnx.load(folder / "model.onnx")
        words = shrink_embeddings(after)
        before, products = onnx.load(fused / "model.onnx").graph, operators_of(after.graph)["MatMulInteger"]
        weights = {tensor.name for tensor in before.initializer}
        expected = sum(node.op_type in QUANTIZED_KINDS and not weights.isdisjoint(node.input) for node in before.node)
        floats = (tensor for tensor in after.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT)
        left = [tensor.name for tensor in floats if len(tensor.dims) == 2]  # MPNet's table of distances has three
        if left or products < expected or not products:
            raise ModelBuildError(
                f"{products} of {expected} matrix products were quantized, and these weights are still 32-bit: "
                f"{', '.join(left) or 'none'}; install the versions of requirements/build.txt"
            )
        onnx.save(after, folder / "model.onnx")
    print(f"quantize: {products} matrix products in 8 bits, {words:,} word vectors in 4 bits", flush=True)


def optimize(quantized: Path, folder: Path) -> None:
    """Apply onnxruntime's optimizations once and store the weights beside the graph: a start only maps them.

    The level "extended" gives the same graph on every CPU; "all" would depend on the CPU of the build.
    """
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
            disabled_optimizers=list(UNPROFITABLE_OPTIMIZERS),
        )
        expected, kinds = operators(quantized)["MatMulInteger"], operators(folder)
        products = {kind: kinds[kind] for kind in PRODUCTS}
        if sum(products.values()) != expected or kinds["MatMulInteger"]:
            raise ModelBuildError(
                f"{sum(products.values())} of {expected} products of 8-bit numbers were fused: "
                "install the versions of requirements/build.txt"
            )
    _print("optimize", products)


def _print(name: str, counts: Mapping[str, int]) -> None:
    print(f"{name}: {', '.join(f'{count} {kind}' for kind, count in counts.items())}", flush=True)
