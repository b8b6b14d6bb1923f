"""Load the initial model of a training run as a classifier with two labels.

The base is a checkpoint, a hub model or a model directory. A BERT can get another vocabulary: the vector of each
byte-level token starts as the mean of the WordPiece tokens that spell it (fast vocabulary transfer: Gee et al., EMNLP
2022, https://aclanthology.org/2022.emnlp-industry.41).

A model directory holds an ONNX graph with 8-bit and 4-bit weights. They are converted back to floats, without the
precision that quantization lost, so a model can be trained further without its original checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer, decoders
from tokenizers.models import WordPiece
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertModel,
    MPNetTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaTokenizerFast,
)
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

from model_build import manifest
from model_build.errors import ModelBuildError
from model_build.graph import BLOCK
from model_build.safe_loading import from_pretrained
from model_build.serving_form import FAMILIES, first_position, to_serving_form
from model_build.source import has_toxic_name, is_model_directory, locate, sha256
from toxicity_bot.model_directory import ModelDirectory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from transformers import PreTrainedTokenizerFast

    from model_build.source import Source

LABELS = ("NOT_TOXIC", "TOXIC")
# Operators on 8-bit weights, with the indices of their inputs for weight, scale and zero point.
QUANTIZED_PRODUCTS = {"DynamicQuantizeMatMul": (1, 2, 3), "MatMulIntegerToFloat": (1, 3, 5)}
# The configuration fields that determine the layers.
LAYER_FIELDS = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps"
)  # fmt: skip
RESTORABLE = ("roberta", "mpnet")  # model types that can be restored from a model directory
ROBERTA_TOKENS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
MPNET_TOKENS = ROBERTA_TOKENS | {"cls_token": "<s>", "sep_token": "</s>", "unk_token": "[UNK]", "mask_token": "<mask>"}
# The special tokens of a RoBERTa, and the tokens of a BERT that have the same role.
BERT_ROLES = {"bos": "cls", "eos": "sep", "pad": "pad", "unk": "unk", "mask": "mask"}


@dataclass(frozen=True)
class InitialModel:
    """A model in float32, its tokenizer, and its origin: a name and a revision, without a path."""

    model: Any
    tokenizer: PreTrainedTokenizerFast
    origin: dict[str, str]

    def check_length(self, max_length: int) -> None:
        """Raise ModelBuildError if the model has fewer than `max_length` positions."""
        config = self.model.config
        positions = config.max_position_embeddings - first_position(config)
        if max_length > positions:
            raise ModelBuildError(f"--max-length {max_length} is more than the {positions} tokens the base can read")

    def tokenizer_sha256(self) -> str:
        """Return a checksum of the tokenizer, ignoring truncation and padding, which each caller sets."""
        described = json.loads(self.tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def load(base: str, revision: str | None = None, tokenizer: str = "", layers: Sequence[int] = ()) -> InitialModel:
    """Return the base as a classifier. A base without a head gets a new one; `layers` lists the layers to keep.

    Raises ModelBuildError if the base cannot be loaded, if its vocabulary differs from the tokenizer's, if its first
    label is the toxic one, or if it lacks one of `layers` or one is repeated.
    """
    if is_model_directory(Path(base)):
        initial = _from_model_directory(Path(base), tokenizer)
    else:
        initial = _from_checkpoint(locate(base, revision), tokenizer)
    if layers:
        keep_layers(initial.model, layers)
    return initial


def _from_checkpoint(source: Source, tokenizer: str) -> InitialModel:
    words = read_tokenizer(tokenizer or source.folder)
    config = from_pretrained(AutoConfig, source.folder)
    if tokenizer and config.model_type == "bert":
        return InitialModel(with_vocabulary(source.folder, words), words, origin(source))
    if tokenizer and words.get_vocab() != read_tokenizer(source.folder).get_vocab():
        raise ModelBuildError(
            f"{source.name} and {tokenizer} have different vocabularies, and only a BERT's can be replaced: "
            "omit --tokenizer"
        )
    first, *others = (config.id2label[index] for index in range(config.num_labels))
    if len(others) == 1 and (first in source.toxic_labels or has_toxic_name(first)):
        raise ModelBuildError(
            f"{source.name} has the labels {first} and {others[0]}, but training needs the toxic label second: "
            "pass a base whose labels are in that order, or an encoder"
        )
    model = from_pretrained(
        AutoModelForSequenceClassification,
        source.folder,
        new_head=True,  # for an encoder, or in place of the head of a classifier with other labels
        **label_names(LABELS),
        problem_type="single_label_classification",
    )
    return InitialModel(model.float(), words, origin(source))


def _from_model_directory(folder: Path, tokenizer: str) -> InitialModel:
    model, words = restore(folder)
    if tuple(model.config.id2label.values()) != LABELS:
        raise ModelBuildError(f"the labels of {folder} are not {' and '.join(LABELS)}: pass its checkpoint instead")
    if tokenizer and words.get_vocab() != read_tokenizer(tokenizer).get_vocab():
        raise ModelBuildError(f"{folder} and {tokenizer} have different vocabularies: omit --tokenizer")
    revision = f"sha256:{sha256(folder / manifest.WEIGHTS)}"
    return InitialModel(model, words, {"name": manifest.read(folder)["source"], "revision": revision})


def read_tokenizer(folder: str | Path) -> PreTrainedTokenizerFast:
    """Return the fast tokenizer in a folder. Raises ModelBuildError if there is none or it has no fast version."""
    try:
        tokenizer: Any = from_pretrained(AutoTokenizer, folder)
    except (OSError, ValueError) as error:
        raise ModelBuildError(f"{folder} has no readable tokenizer: pass a folder with a tokenizer.json") from error
    if not tokenizer.is_fast:
        raise ModelBuildError(f"the tokenizer of {folder} has no fast version, so it cannot be saved as tokenizer.json")
    return tokenizer


def origin(source: Source) -> dict[str, str]:
    """Return the name and revision of a checkpoint, for `training.json`."""
    return {"name": source.name, "revision": source.revision}


def keep_layers(model: Any, indices: Sequence[int]) -> None:
    """Keep only these layers of a classifier, in this order.

    DistilBERT was initialized in the same way, with every other layer of its teacher (https://arxiv.org/abs/1910.01108).
    """
    kind = model.config.model_type
    if kind not in FAMILIES:
        raise ModelBuildError(f"--layers supports {', '.join(FAMILIES)}, not {kind}: omit it or pass another base")
    stack = getattr(model.base_model, FAMILIES[kind][0])
    layers = stack.layer
    if len(set(indices)) < len(indices):
        raise ModelBuildError("--layers repeats a layer, but two layers cannot share weights: name each layer once")
    if missing := [index for index in indices if index >= len(layers)]:
        raise ModelBuildError(f"the base has the layers 0 to {len(layers) - 1}, not {missing[0]}: correct --layers")
    stack.layer = nn.ModuleList([layers[index] for index in indices])
    model.config.num_hidden_layers = len(indices)


def with_vocabulary(folder: Path, tokenizer: PreTrainedTokenizerFast) -> RobertaForSequenceClassification:
    """Return the BERT in a folder as a RoBERTa with the tokenizer's vocabulary. Both compute the same function.

    Raises ModelBuildError if the folder holds another architecture, or if the tokenizer is not like RoBERTa's.
    """
    missing = [role for role in BERT_ROLES if getattr(tokenizer, f"{role}_token_id") is None]
    if missing or not isinstance(tokenizer.backend_tokenizer.decoder, decoders.ByteLevel):
        reason = f"has no {missing[0]} token" if missing else "is not byte-level"
        raise ModelBuildError(f"the tokenizer {reason}: pass a byte-level --tokenizer with the tokens of RoBERTa's")
    pieces, config = read_tokenizer(folder), from_pretrained(AutoConfig, folder)
    if config.model_type != "bert" or config.position_embedding_type != "absolute":
        raise ModelBuildError(f"{folder} is not a BERT with absolute positions, so its vocabulary cannot be replaced")
    bert = from_pretrained(BertModel, folder, add_pooling_layer=False)
    state = bert.state_dict()
    words, positions, segments = (f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type"))
    state[words] = _token_vectors(state[words], pieces, tokenizer)
    first = tokenizer.pad_token_id + 1  # as in RoBERTa's embeddings: positions count from the padding id
    state[positions] = nn.functional.pad(state[positions], (0, 0, first, 0))
    state[segments] = state[segments][:1]
    special = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("bos", "eos", "pad")}
    sizes = {"vocab_size": len(state[words]), "max_position_embeddings": len(state[positions])}
    model = RobertaForSequenceClassification(roberta_config(bert.config, **sizes, **special))
    model.roberta.load_state_dict(state)
    return model


def roberta_config(other: Any, **fields: Any) -> RobertaConfig:
    """Return a RoBERTa configuration with LABELS and the layer fields of a BERT or an MPNet."""
    same = {name: getattr(other, name) for name in LAYER_FIELDS}
    return RobertaConfig(**same, type_vocab_size=1, **label_names(LABELS), **fields)


def label_names(labels: Sequence[str]) -> dict[str, Any]:
    """Return the configuration fields for the label names."""
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


def spelling(text: str, pieces: PreTrainedTokenizerFast, vocabulary: Mapping[str, int]) -> list[int]:
    """Return the ids of the WordPiece tokens that spell `text`; empty for a space or a partial character."""
    word = text.strip().lower()
    if not word or "\ufffd" in word:
        return []
    whole, inside = _known(word, pieces), vocabulary.get(f"##{word}")
    if not whole and inside is None and len(word) == 1:
        return _known(unicodedata.name(word, "").lower(), pieces)  # an emoji, by its Unicode name
    if text.startswith(" ") or inside is None:
        return whole
    # Without a leading space, the token continues a word or starts the text.
    return [inside, *whole] if len(whole) == 1 else [inside]


def _known(text: str, pieces: PreTrainedTokenizerFast) -> list[int]:
    return [id_ for id_ in pieces(text, add_special_tokens=False).input_ids if id_ != pieces.unk_token_id]


def _token_vectors(
    weights: torch.Tensor, pieces: PreTrainedTokenizerFast, tokenizer: PreTrainedTokenizerFast
) -> torch.Tensor:
    vectors = weights.mean(dim=0).repeat(len(tokenizer), 1)
    vocabulary = pieces.get_vocab()
    spellings = {id_: spelling(tokenizer.decode([id_]), pieces, vocabulary) for id_ in range(len(tokenizer))}
    for role, bert_role in BERT_ROLES.items():
        spellings[getattr(tokenizer, f"{role}_token_id")] = [getattr(pieces, f"{bert_role}_token_id")]
    for id_, ids in spellings.items():
        if ids:
            vectors[id_] = weights[ids].mean(dim=0)
    return vectors


def restore(folder: Path) -> tuple[Any, PreTrainedTokenizerFast]:
    """Restore the classifier of a model directory in float32; return it and its tokenizer.

    Raises ModelError if the model directory is damaged, and ModelBuildError if it was built from neither a RoBERTa nor
    an MPNet.
    """
    model = ModelDirectory.read(folder)
    graph = onnx.load(folder / "model.onnx").graph
    weights = _graph_weights(graph)
    family = next((name for name in RESTORABLE if f"{name}.encoder.layers.0.query.weight" in weights), "")
    if not family or model.activation != "softmax":
        raise ModelBuildError(
            f"{folder} was not built from a RoBERTa or an MPNet with exclusive labels: pass its checkpoint instead"
        )
    words, positions = weights.pop("words"), weights.pop("positions")
    weights |= {f"{family}.embeddings.words.weight": words, f"{family}.embeddings.positions": positions}
    config = AutoConfig.for_model(
        family,
        vocab_size=len(words),
        hidden_size=words.shape[1],
        num_hidden_layers=sum(name.endswith(".query.weight") for name in weights),
        num_attention_heads=_attribute(graph, "MultiHeadAttention", "num_heads"),
        intermediate_size=len(weights[f"{family}.encoder.layers.0.widen.bias"]),
        max_position_embeddings=model.pad_id + 1 + len(positions),
        type_vocab_size=1,
        layer_norm_eps=_attribute(graph, "LayerNormalization", "epsilon"),
        bos_token_id=model.bos_id,
        pad_token_id=model.pad_id,
        eos_token_id=model.eos_id,
        **label_names(model.labels),
    )
    found = AutoModelForSequenceClassification.from_config(config)
    _load_weights(found, weights)
    return found, _tokenizer(folder / "tokenizer.json", len(positions))


def _tokenizer(file: Path, max_length: int) -> PreTrainedTokenizerFast:
    """Return a RoBERTa tokenizer or, for WordPiece, an MPNet tokenizer, with the special tokens from the file."""
    backend = Tokenizer.from_file(str(file))
    if not isinstance(backend.model, WordPiece):
        return RobertaTokenizerFast(tokenizer_file=str(file), model_max_length=max_length, **ROBERTA_TOKENS)
    added = {token.content: token for token in backend.get_added_tokens_decoder().values()}
    special = {role: added.get(text, text) for role, text in MPNET_TOKENS.items()}
    return MPNetTokenizerFast(tokenizer_file=str(file), model_max_length=max_length, **special)


def _graph_weights(graph: onnx.GraphProto) -> dict[str, npt.NDArray[np.float32]]:
    """Return the graph's weights by name, as floats. Matrices have PyTorch's shape, (outputs, inputs)."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {name: values for name, values in constants.items() if name.endswith((".weight", ".bias", ".distances"))}
    origins = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if inputs := QUANTIZED_PRODUCTS.get(node.op_type):
            numbers, scale, zero = (constants[node.input[index]].astype(np.float32) for index in inputs)
            weight = ((numbers - zero) * scale).T * _input_scale(node, origins, constants)
            found[f"{node.input[-1].removesuffix('.bias')}.weight"] = weight
    packed = constants["words"]
    numbers = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32) - 8
    blocks = numbers.reshape(len(numbers), -1, BLOCK) * constants["words_scales"].astype(np.float32)[:, :, None]
    return found | {"words": blocks.reshape(numbers.shape), "positions": constants["positions"].astype(np.float32)}


def _input_scale(
    product: onnx.NodeProto, origins: Mapping[str, onnx.NodeProto], constants: Mapping[str, npt.NDArray[Any]]
) -> npt.NDArray[np.float32] | float:
    """Return the scale by which `smooth` multiplied a product's input, (width,), or 1.

    The exporter merges equal scales, so their names do not tell which layers have them.
    """
    origin = origins[product.input[0]]
    if origin.op_type == "DynamicQuantizeLinear":
        origin = origins[origin.input[0]]
    return constants[origin.input[1]] if origin.op_type == "Mul" else 1.0


def _load_weights(model: Any, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Load weights that have the serving form's names. Only positions and distances need a conversion."""
    base = model.base_model
    embeddings, encoder = base.embeddings, base.encoder
    to_serving_form(model)
    model.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in weights.items()})
    first = first_position(model.config)
    with torch.no_grad():
        embeddings.position_embeddings.weight[:first] = 0
        embeddings.position_embeddings.weight[first:] = base.embeddings.positions
        if base.encoder.distances is None:
            embeddings.token_type_embeddings.weight.zero_()  # the build has added it to the positions
        else:
            encoder.relative_attention_bias.weight.copy_(_bucket_biases(base.encoder.distances, model.config))
    base.embeddings, base.encoder = embeddings, encoder


def _bucket_biases(distances: torch.Tensor, config: Any) -> torch.Tensor:
    """Convert the graph's biases per distance, (1, heads, distances), to MPNet's per bucket, (buckets, heads)."""
    longest, buckets = distances.shape[-1] // 2, config.relative_attention_num_buckets
    places = torch.arange(-longest, longest + 1)
    found = torch.zeros(buckets, distances.shape[1])
    found[MPNetEncoder.relative_position_bucket(places, num_buckets=buckets)] = distances[0].T
    return found


def _attribute(graph: onnx.GraphProto, operator: str, name: str) -> Any:
    node = next(node for node in graph.node if node.op_type == operator)
    return next(onnx.helper.get_attribute_value(attribute) for attribute in node.attribute if attribute.name == name)
