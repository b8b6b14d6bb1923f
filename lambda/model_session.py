"""Run the tokenizer and the ONNX model of a model directory.

This is the only module that uses onnxruntime and tokenizers. Both load local files and never use the network. It does
not depend on windows, toxic labels or Slack.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

# Set before the import, which would otherwise send telemetry and create a folder in the home directory.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from tokenizers import Tokenizer

from .errors import ModelError
from .model_directory import REMEDY, ModelDirectory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt


class ModelSession:
    """A tokenizer and an onnxruntime session. Raises ModelError if either cannot be loaded."""

    def __init__(self, model: ModelDirectory, threads: int) -> None:
        self._model = model
        self._tokenizer = _load_tokenizer(model.path / "tokenizer.json")
        self._session = _load_session(model, threads)

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the token ids without special tokens, and the start and end of each token in the text."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def probabilities(self, sequences: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
        """Run the model once on ids from `encode`. Return probabilities of shape (sequences, labels)."""
        model = self._model
        longest = max(len(ids) for ids in sequences) + 2
        input_ids = np.full((len(sequences), longest), model.pad_id, dtype=np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, ids in enumerate(sequences):
            input_ids[row, : len(ids) + 2] = [model.bos_id, *ids, model.eos_id]
            attention_mask[row, : len(ids) + 2] = 1
        inputs = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": np.zeros_like(input_ids),
        }
        (logits,) = self._session.run(["logits"], {name: inputs[name] for name in model.input_names})
        return activate(logits.astype(np.float64) / model.temperature, model.activation)


def activate(logits: npt.NDArray[np.float64], activation: str) -> npt.NDArray[np.float64]:
    """Convert logits (rows, labels) to probabilities: softmax for exclusive labels, sigmoid for independent ones."""
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-logits)))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def _load_tokenizer(path: Path) -> Any:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower type
        raise ModelError(path, f"is not a tokenizer ({error}): {REMEDY}") from error
    # Settings that training left in the file would silently truncate long texts.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # A person who types "</s>" means these four characters, not the special token.
    tokenizer.encode_special_tokens = True
    return tokenizer


def _load_session(model: ModelDirectory, threads: int) -> Any:
    path = model.path / "model.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    for key, value in model.session_config.items():
        options.add_session_config_entry(key, value)
    try:
        levels = onnxruntime.GraphOptimizationLevel.__members__
        options.graph_optimization_level = levels[model.graph_optimization]
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's errors share no narrower type
        raise ModelError(path, f"cannot be loaded ({error}): {REMEDY}") from error
    inputs, recorded = sorted(item.name for item in session.get_inputs()), sorted(model.input_names)
    if inputs != recorded:
        raise ModelError(path, f"has the inputs {inputs} where model.json records {recorded}: {REMEDY}")
    return session
