"""What a stage begins with: a checkpoint, a hub id or a model directory comes in, a classifier of two labels and its
tokenizer come out.

What does not fit together, such as a tokenizer of another vocabulary, is refused: it would train, and badly.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from model_build import manifest
from model_build.errors import ModelBuildError
from model_build.optimize import WEIGHTS
from model_build.serving_form import FAMILIES, first_position
from model_build.source import is_model_directory, locate, sha256, toxic_labels
from model_build.train import restore, vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerFast

    from model_build.source import Source

LABELS = ("NOT_TOXIC", "TOXIC")


@dataclass(frozen=True)
class Start:
    """A model in float32, its tokenizer, and where it is from: `origin` names no path."""

    model: Any
    tokenizer: PreTrainedTokenizerFast
    origin: dict[str, str]

    def check_length(self, max_length: int) -> None:
        """Raises ModelBuildError if the model has no positions for so many tokens."""
        config = self.model.config
        most = config.max_position_embeddings - first_position(config)
        if max_length > most:
            raise ModelBuildError(f"--max-length {max_length} is more than the {most} tokens that the base can read")

    def tokenizer_sha256(self) -> str:
        """Return the tokenizer's checksum, for a record; how it cuts and pads is not its own but its caller's."""
        described = json.loads(self.tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def load(base: str, revision: str | None = None, tokenizer: str = "", layers: Sequence[int] = ()) -> Start:
    """Return the base as a classifier, its head new where the base has none; of its layers only `layers`, if any.

    Raises ModelBuildError if the base cannot be had, has another vocabulary than `tokenizer`, calls its first label the
    toxic one, or lacks a layer.
    """
    if is_model_directory(Path(base)):
        return _go_on_from(Path(base), tokenizer, layers)
    source = locate(base, revision)
    words = read_tokenizer(tokenizer or source.folder)
    config = AutoConfig.from_pretrained(source.folder)
    if tokenizer and config.model_type == "bert":
        model = vocabulary.transfer(source.folder, words, LABELS)
    else:
        if tokenizer and words.get_vocab() != read_tokenizer(source.folder).get_vocab():
            raise ModelBuildError(
                f"{base} was trained with another vocabulary than that of {tokenizer}, and only a BERT's can be "
                "exchanged: leave --tokenizer out"
            )
        if config.num_labels == len(LABELS):
            _check_order([config.id2label[place] for place in range(len(LABELS))], source)
        model = AutoModelForSequenceClassification.from_pretrained(
            source.folder,
            id2label=dict(enumerate(LABELS)),
            label2id={label: place for place, label in enumerate(LABELS)},
            # A base of labels that need not exclude one another would be served with a sigmoid.
            problem_type="single_label_classification",
            # A classifier of other labels gives its encoder; its last matrix is new.
            ignore_mismatched_sizes=True,
        ).float()
    if layers:
        keep_layers(model, layers)
    return Start(model, words, origin(source))


def _go_on_from(folder: Path, tokenizer: str, layers: Sequence[int]) -> Start:
    """Begin with what the bot serves, such as the model that ships."""
    model, words = restore.restored(folder)
    if tuple(model.config.id2label.values()) != LABELS:
        raise ModelBuildError(f"{folder} has other labels than {' and '.join(LABELS)}: begin with its checkpoint")
    if tokenizer and words.get_vocab() != read_tokenizer(tokenizer).get_vocab():
        raise ModelBuildError(f"{folder} has another vocabulary than {tokenizer}: leave --tokenizer out")
    if layers:
        keep_layers(model, layers)
    return Start(model, words, {"name": manifest.read(folder)["source"], "revision": revision_of(str(folder))})


def _check_order(labels: Sequence[str], source: Source) -> None:
    """Raises ModelBuildError if the first label is toxic by its name: trained on as it is, the head begins inverted."""
    try:
        toxic = toxic_labels(labels, source.toxic_labels, "sigmoid")
    except ModelBuildError:
        return  # LABEL_0 and LABEL_1, say, or an encoder's, which mean nothing
    if labels[0] in toxic:
        raise ModelBuildError(
            f"{source.name} has the labels {' and '.join(labels)}, and training takes the second, not the first, for "
            "toxic: begin with a base whose labels are in that order, or with an encoder"
        )


def read_tokenizer(place: str | Path) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a folder; raises ModelBuildError if there is none, or none that has a fast form."""
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError) as error:
        raise ModelBuildError(
            f"{place} has no tokenizer that can be read: pass a folder with a tokenizer.json"
        ) from error
    if not tokenizer.is_fast:
        raise ModelBuildError(f"the tokenizer of {place} has no fast form, so no tokenizer.json can be made of it")
    return tokenizer


def revision_of(base: str) -> str:
    """Return what tells the weights of a base from all others; raises ModelBuildError if it cannot be had."""
    if is_model_directory(Path(base)):
        return f"sha256:{sha256(Path(base) / WEIGHTS)}"
    return locate(base).revision


def origin(source: Source) -> dict[str, str]:
    """Return where a base is from, for a record."""
    return {"name": source.name, "revision": source.revision}


def keep_layers(model: Any, places: Sequence[int]) -> None:
    """Leave a classifier only the layers at these places, from 0, and all else as it was.

    So DistilBERT begins with every other layer of its teacher (Sanh and others, 2019, https://arxiv.org/abs/1910.01108).
    """
    kind = model.config.model_type
    if kind not in FAMILIES:
        raise ModelBuildError(f"the layers of a {kind} cannot be chosen, those of {', '.join(FAMILIES)} can")
    stack = getattr(model.base_model, FAMILIES[kind][0])
    layers = stack.layer
    if missing := [place for place in places if not 0 <= place < len(layers)]:
        raise ModelBuildError(f"the base has the layers 0 to {len(layers) - 1}, not {missing[0]}: see --student-layers")
    stack.layer = nn.ModuleList([layers[place] for place in places])
    model.config.num_hidden_layers = len(places)
