"""A folder or the id of a model on the Hugging Face hub comes in, a local folder with the checkpoint comes out.

Only weights, JSON and tokenizer files are fetched, safetensors before pickles, and no code of a repository is ever
run. What was found is recorded with its exact revision.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from model_build.errors import ModelBuildError

# What is fetched at most: no scripts, no weights of other frameworks.
DESCRIPTION_FILES = ["*.json", "merges.txt", "vocab.txt"]
SAFE_WEIGHTS = ["*.safetensors"]
PICKLED_WEIGHTS = ["pytorch_model*.bin"]  # read with torch's weights-only unpickler

# Checkpoints whose labels have no names. This one was trained on `tweets_hate_speech_detection`, where 1 is hate.
KNOWN_TOXIC_LABELS = {"mrm8488/distilroberta-finetuned-tweets-hate-speech": ("LABEL_1",)}


@dataclass(frozen=True)
class Source:
    """A checkpoint on this machine: `name` and `revision` say where it is from without naming a path."""

    folder: Path
    name: str
    revision: str
    licence: str
    toxic_labels: tuple[str, ...] = ()


def locate(source: str, revision: str | None = None, name: str = "", licence: str = "") -> Source:
    """Return the checkpoint; raises ModelBuildError if it cannot be had or has no weights."""
    folder = Path(source)
    if folder.is_dir():
        weights = _weights(folder)
        return Source(
            folder=folder,
            name=name or f"local folder {folder.resolve().name}",
            revision=revision or f"sha256:{sha256(weights[0])}",
            licence=licence or "not stated",
        )
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source):
        raise ModelBuildError(f"{source} is neither a folder nor the id of a hub model (owner/name)")
    folder = _download(source, revision, DESCRIPTION_FILES + SAFE_WEIGHTS)
    if not any(folder.glob("*.safetensors")):
        folder = _download(source, folder.name, DESCRIPTION_FILES + PICKLED_WEIGHTS)
    _weights(folder)
    return Source(
        folder=folder,
        name=name or source,
        revision=folder.name,  # the hub's cache names a snapshot after its commit
        licence=licence or f"as stated at https://huggingface.co/{source}",
        toxic_labels=KNOWN_TOXIC_LABELS.get(source, ()),
    )


def is_model_directory(folder: Path) -> bool:
    """Whether a folder is what the bot serves, rather than a checkpoint."""
    return (folder / "model.json").is_file()


def sha256(path: Path) -> str:
    """Return the checksum of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(repository: str, revision: str | None, patterns: list[str]) -> Path:
    wanted = f"{repository} at revision {revision or 'main'}"
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except LocalEntryNotFoundError as error:
        raise ModelBuildError(
            f"{wanted} is not in the hub's cache and the hub cannot be reached: "
            "connect this machine, set HF_HOME to a cache that holds it, or pass a folder instead of the id"
        ) from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise ModelBuildError(f"the hub refuses {wanted}: check the id, the revision and your access") from error


def _weights(folder: Path) -> list[Path]:
    if is_model_directory(folder):
        raise ModelBuildError(
            f"{folder} is a model directory: `python -m model_build convert` makes a checkpoint of it"
        )
    if not (folder / "config.json").is_file():
        raise ModelBuildError(f"{folder} has no config.json, so it is no transformers checkpoint: pass another folder")
    if not (found := sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))):
        raise ModelBuildError(f"{folder} has no model.safetensors and no pytorch_model.bin: pass another folder")
    return found
