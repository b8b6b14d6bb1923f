"""Find a checkpoint in a folder or on the Hugging Face hub, and its toxic labels.

Only JSON, tokenizer files and safetensors are downloaded, because pickled weights could run code.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTION_FILES = ("*.json", "merges.txt", "vocab.txt")
SAFE_WEIGHTS = "*.safetensors"

# Checkpoints with generic label names. This one was trained on `tweets_hate_speech_detection`, where 1 is hate.
KNOWN_TOXIC_LABELS = {"mrm8488/distilroberta-finetuned-tweets-hate-speech": ("LABEL_1",)}
# The commit in which the hub's converter added safetensors. The branch main has only a pickle.
KNOWN_REVISIONS = {"mrm8488/distilroberta-finetuned-tweets-hate-speech": "228baf9cd793c9183f6760723b20c606d74afa33"}

# The negation matches "not_toxic", "non-hate", "nothate" and "inoffensive".
TOXIC_NAME = re.compile(
    r"(?P<negation>not|non|no|un|in)?[\W_]*"
    r"(?:toxic|hate|offens|insult|obscen|threat|abus|harass|bully|slur|profan|identity_attack|racis|sexis)",
    re.IGNORECASE,
)
FOLDER_REVISION = "sha256:"  # begins the revision of a folder; that of a hub model is a commit
REMEDY = "rename them in the checkpoint's config.json, or pass --toxic-labels NAME,.. to build or distill"


@dataclass(frozen=True)
class Source:
    """A local checkpoint. `name` and `revision` identify it without a path."""

    folder: Path
    name: str
    revision: str
    licence: str
    toxic_labels: tuple[str, ...] = ()


def locate(source: str, revision: str | None = None, name: str = "", licence: str = "") -> Source:
    """Return the checkpoint. Raises ModelBuildError if it cannot be found, has no weights or has no such revision."""
    folder = Path(source)
    if folder.is_dir():
        if revision:
            raise ModelBuildError(f"--revision is for a hub model, and {source} is a folder: omit it")
        digests = [sha256(path) for path in _weights(folder)]
        # All files count: a part of a large checkpoint may hold only embeddings that training did not change.
        digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
        name = name or f"local folder {folder.resolve().name}"
        return Source(folder, name, f"{FOLDER_REVISION}{digest}", licence or "not stated")
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source):
        raise ModelBuildError(f"{source} is neither a folder nor a hub id (owner/name)")
    folder = _download(source, revision or KNOWN_REVISIONS.get(source))
    _weights(folder)
    return Source(
        folder=folder,
        name=name or source,
        revision=folder.name,  # the hub's cache names a snapshot after its commit
        licence=licence or f"as stated at https://huggingface.co/{source}",
        toxic_labels=KNOWN_TOXIC_LABELS.get(source, ()),
    )


def toxic_labels(labels: Sequence[str], given: Sequence[str], activation: str) -> tuple[str, ...]:
    """Return the labels in `given` or, if it is empty, the labels with toxic names.

    Raises ModelBuildError if no name is toxic: with LABEL_0 and LABEL_1, a wrong guess would invert every verdict.
    """
    if unknown := sorted(set(given) - set(labels)):
        raise ModelBuildError(f"--toxic-labels has {', '.join(unknown)}, but the checkpoint has {', '.join(labels)}")
    chosen = tuple(label for label in labels if (label in given if given else has_toxic_name(label)))
    if not chosen:
        raise ModelBuildError(f"none of the labels {', '.join(labels)} has a toxic name: {REMEDY}")
    if activation == "softmax" and len(chosen) == len(labels):
        raise ModelBuildError(f"all of the labels {', '.join(labels)} would be toxic: {REMEDY}")
    return chosen


def is_model_directory(folder: Path) -> bool:
    """Whether a folder is a model directory and not a checkpoint."""
    return (folder / "model.json").is_file()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_toxic_name(label: str) -> bool:
    """Whether a label has a toxic name."""
    found = TOXIC_NAME.search(label)
    return found is not None and not found["negation"]


def _download(repository: str, revision: str | None) -> Path:
    wanted = f"{repository} at revision {revision or 'main'}"
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=[*DESCRIPTION_FILES, SAFE_WEIGHTS]))
    except LocalEntryNotFoundError as error:
        raise ModelBuildError(
            f"{wanted} is not in the local cache and the hub cannot be reached: "
            "connect this machine, set HF_HOME to a cache that has it, or pass a folder instead of the id"
        ) from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise ModelBuildError(f"the hub refused {wanted}: check the id, the revision and your access") from error


def _weights(folder: Path) -> list[Path]:
    if is_model_directory(folder):
        raise ModelBuildError(f"{folder} is a model directory: run python -m model_build convert to make a checkpoint")
    if not (folder / "config.json").is_file():
        raise ModelBuildError(f"{folder} has no config.json, so it is not a checkpoint: pass another folder")
    if not (found := sorted(folder.glob(SAFE_WEIGHTS))):
        raise ModelBuildError(
            f"{folder} has no model.safetensors, and pickled weights such as pytorch_model.bin are not read, because "
            "they could run code: pass another folder, or a --revision with safetensors. "
            "https://huggingface.co/spaces/safetensors/convert adds them to a hub model"
        )
    return found
