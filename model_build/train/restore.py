"""A model directory, which the bot serves, comes in; the PyTorch classifier that it was built from comes out, nearly.

Its 8-bit and 4-bit weights become floats again: what quantizing rounded away stays away, and training goes on from
there. So a model can be trained on although nobody has kept its checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaTokenizerFast

from model_build.embeddings import BLOCK
from model_build.errors import ModelBuildError
from model_build.serving_form import BERT_PARTS
from toxicity_bot.errors import ModelError
from toxicity_bot.model_directory import ModelDirectory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

# Where an operator on 8-bit weights has them, their scale and their zero point.
PRODUCTS = {"DynamicQuantizeMatMul": (1, 2, 3), "MatMulIntegerToFloat": (1, 3, 5)}
LAYER = "roberta.encoder.layers."
# The first tokens of RoBERTa's vocabulary, in the order of their ids.
SPECIAL_TOKENS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def restored(folder: Path) -> tuple[RobertaForSequenceClassification, RobertaTokenizerFast]:
    """Return the classifier in float32, and its tokenizer.

    Raises ModelBuildError if the folder is no whole model directory, or if no RoBERTa was built into it.
    """
    try:
        model = ModelDirectory.read(folder)
    except ModelError as error:
        raise ModelBuildError(str(error)) from error
    graph = onnx.load(folder / "model.onnx").graph
    weights = _weights(graph)
    if f"{LAYER}0.query.weight" not in weights or model.activation != "softmax":
        raise ModelBuildError(
            f"{folder} was not built from a RoBERTa with exclusive labels: begin with its checkpoint instead"
        )
    words, positions = weights["words"], weights["positions"]
    config = RobertaConfig(
        vocab_size=len(words),
        hidden_size=words.shape[1],
        num_hidden_layers=sum(name.endswith(".query.weight") for name in weights),
        num_attention_heads=_attribute(graph, "MultiHeadAttention", "num_heads"),
        intermediate_size=len(weights[f"{LAYER}0.widen.bias"]),
        max_position_embeddings=model.pad_id + 1 + len(positions),
        type_vocab_size=1,
        layer_norm_eps=_attribute(graph, "LayerNormalization", "epsilon"),
        bos_token_id=model.bos_id,
        pad_token_id=model.pad_id,
        eos_token_id=model.eos_id,
        id2label=dict(enumerate(model.labels)),
        label2id={label: place for place, label in enumerate(model.labels)},
    )
    found = RobertaForSequenceClassification(config)
    found.load_state_dict(_state(weights, model.pad_id + 1))
    tokenizer = RobertaTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), model_max_length=len(positions), **SPECIAL_TOKENS
    )
    return found, tokenizer


def _weights(graph: onnx.GraphProto) -> dict[str, npt.NDArray[np.float32]]:
    """Return the floats of the graph by name: matrices as PyTorch keeps them, (outputs, inputs)."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {name: values for name, values in constants.items() if name.endswith((".weight", ".bias"))}
    for node in graph.node:
        if places := PRODUCTS.get(node.op_type):
            numbers, scale, zero = (constants[node.input[place]].astype(np.float32) for place in places)
            found[f"{node.input[-1].removesuffix('.bias')}.weight"] = ((numbers - zero) * scale).T
    packed = constants["words"]
    numbers = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32) - 8
    blocks = numbers.reshape(len(numbers), -1, BLOCK) * constants["words_scales"].astype(np.float32)[:, :, None]
    return found | {"words": blocks.reshape(numbers.shape), "positions": constants["positions"].astype(np.float32)}


def _state(weights: Mapping[str, npt.NDArray[np.float32]], first_position: int) -> dict[str, torch.Tensor]:
    """Return the weights under RoBERTa's own names; the one segment was added to the positions when it was built."""
    width = weights["words"].shape[1]
    unused = np.zeros((first_position, width), dtype=np.float32)
    state = {
        "roberta.embeddings.word_embeddings.weight": weights["words"],
        "roberta.embeddings.position_embeddings.weight": np.concatenate([unused, weights["positions"]]),
        "roberta.embeddings.token_type_embeddings.weight": np.zeros((1, width), dtype=np.float32),
    }
    for name, values in weights.items():
        if name.startswith(LAYER):
            layer, part, kind = name.removeprefix(LAYER).split(".")
            state[f"roberta.encoder.layer.{layer}.{BERT_PARTS[part]}.{kind}"] = values
        elif name.startswith("roberta.embeddings.norm."):
            state[name.replace(".norm.", ".LayerNorm.")] = values
        elif name.startswith("classifier."):
            state[name] = values
    return {name: torch.from_numpy(np.array(values)) for name, values in state.items()}


def _attribute(graph: onnx.GraphProto, operator: str, name: str) -> Any:
    node = next(node for node in graph.node if node.op_type == operator)
    return next(onnx.helper.get_attribute_value(attribute) for attribute in node.attribute if attribute.name == name)
