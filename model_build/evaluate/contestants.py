"""Folders come in, the models in them come out, each with one way to score texts: as the bot serves it, or in PyTorch.

A model directory of the bot is scored by the bot's own classifier, in overlapping windows; a transformers checkpoint in
batches of like length, each text cut at the longest one that the model reads.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnxruntime

from model_build import manifest
from model_build.errors import ModelBuildError
from model_build.evaluate.selection import folding_checksum
from model_build.source import is_model_directory, locate, sha256
from toxicity_bot import classifier, model_session
from toxicity_bot.classifier import Classifier
from toxicity_bot.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CHECKPOINT_THRESHOLD = 0.5  # a checkpoint has none of its own
BATCH = 16  # texts of like length


class Scorer(Protocol):
    """What turns folded texts into probabilities of being toxic."""

    def toxicities(self, texts: Sequence[str]) -> list[float]:
        """Return one for each text."""


@dataclass(frozen=True)
class Contestant:
    """A model that is to be judged; it is loaded when it is first needed."""

    name: str
    kind: str
    """How it is scored, in a few words for people."""
    checksum: str
    """Changes with whatever changes a score."""
    bytes: int
    threshold: float
    load: Callable[[], Scorer]


def contestant(name: str, folder: Path, threads: int) -> Contestant:
    """Return the model in a folder; raises ModelBuildError if there is neither kind of model in it."""
    if is_model_directory(folder):
        return _served(name, folder, threads)
    if (folder / "config.json").is_file():
        return _checkpoint(name, folder, threads)
    raise ModelBuildError(
        f"--models {name}={folder}: the folder has neither {manifest.FILE_NAME}, as a model directory of the bot has, "
        "nor config.json, as a transformers checkpoint has"
    )


def served_checksum(fields: Mapping[str, Any]) -> str:
    """Return what identifies the scores of a model directory: its files, how it is read, and the code that reads it."""
    read = {
        key: fields.get(key)
        for key in ("temperature", "labels", "toxic_labels", "activation", "max_length", "window", "session")
    }
    files = {name: facts["sha256"] for name, facts in fields["files"].items()}
    code = [sha256(Path(str(module.__file__))) for module in (classifier, model_session)] + [folding_checksum()]
    described = json.dumps([read, files, code, onnxruntime.__version__], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()


def _served(name: str, folder: Path, threads: int) -> Contestant:
    fields = manifest.read(folder)
    return Contestant(
        name=name,
        kind="as the bot serves it",
        checksum=served_checksum(fields),
        bytes=sum(int(facts["bytes"]) for facts in fields["files"].values()),
        threshold=float(fields["threshold"]),
        load=lambda: _Served(folder, threads),
    )


def bots_classifier(folder: Path, threads: int | None = None) -> Classifier:
    """Return the bot's own; raises ModelBuildError for a model that is incomplete, damaged or another one."""
    try:
        return Classifier(folder, threads)
    except ModelError as error:
        raise ModelBuildError(str(error)) from error


class _Served:
    def __init__(self, folder: Path, threads: int) -> None:
        self._classifier = bots_classifier(folder, threads)

    def toxicities(self, texts: Sequence[str]) -> list[float]:
        return [self._classifier.toxicity(text) for text in texts]


def _checkpoint(name: str, folder: Path, threads: int) -> Contestant:
    found = locate(str(folder))
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin", ".json", ".txt"))
    digest = hashlib.sha256(" ".join(sha256(path) for path in files).encode())
    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    return Contestant(
        name=name,
        kind="checkpoint in PyTorch",
        checksum=digest.hexdigest(),
        bytes=sum(path.stat().st_size for path in weights),
        threshold=CHECKPOINT_THRESHOLD,
        load=lambda: _InPyTorch(found, threads),
    )


class _InPyTorch:
    def __init__(self, source: Any, threads: int) -> None:
        # Imported here: seconds, which a report on served models or of kept scores need not spend.
        import torch

        from model_build.torch_model import TorchModel

        torch.set_num_threads(threads)
        self._model = TorchModel(source)
        self._toxic = [self._model.labels.index(label) for label in self._model.toxic_labels]

    def toxicities(self, texts: Sequence[str]) -> list[float]:
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        scores = [0.0] * len(texts)
        for start in range(0, len(order), BATCH):
            indices = order[start : start + BATCH]
            for index, score in zip(indices, self._batch([texts[index] for index in indices]), strict=True):
                scores[index] = score
        return scores

    def _batch(self, texts: Sequence[str]) -> list[float]:
        import torch

        inputs = self._model.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._model.max_length, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = self._model.module(inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        probabilities = model_session.activate(logits.double().numpy(), self._model.activation)[:, self._toxic]
        toxicities = probabilities.sum(axis=1) if self._model.activation == "softmax" else probabilities.max(axis=1)
        return [float(toxicity) for toxicity in np.asarray(toxicities)]
