"""Read `model.json` in a model directory, and check the sizes of the files that it lists.

`model_build/manifest.py` writes the file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .errors import ModelError

# The fields that determine scores. `files` has the checksums of the weights and the tokenizer.
SCORING = ("files", "labels", "toxic_labels", "activation", "temperature", "window", "max_length", "special_token_ids")

REMEDY = "build the model again (make model), or point MODEL_DIR to a directory that it wrote"


def embedded() -> Path:
    """Return the shipped model directory: inside the installed package, or beside the package in a checkout."""
    package = Path(__file__).parent
    installed = package / "model"
    return installed if installed.is_dir() else package.parent / "model"


class Reference(NamedTuple):
    """A text and the toxicity that the model gave it when it was built."""

    text: str
    toxicity: float


@dataclass(frozen=True)
class ModelDirectory:
    """The fields of `model.json` that scoring needs."""

    path: Path
    version: str
    """A digest. Models of the same version give the same scores."""
    name: str
    """The model's source and the beginning of its version."""
    labels: tuple[str, ...]
    toxic_labels: frozenset[str]
    activation: Literal["softmax", "sigmoid"]
    temperature: float
    threshold: float
    threshold_maybe: float
    """At most `threshold`, and equal to it if `model.json` has none."""
    window: int
    """Tokens per window, including special tokens. Longer texts are read in several windows."""
    bos_id: int
    eos_id: int
    pad_id: int
    input_names: tuple[str, ...]
    graph_optimization: str
    session_config: dict[str, str]
    references: tuple[Reference, ...]
    """Texts whose scores are checked at start-up: the most sensitive one and the most toxic one."""
    reference_tolerance: float

    @classmethod
    def read(cls, path: Path) -> ModelDirectory:
        """Raises ModelError, which names the file, if a file is missing, has the wrong size or cannot be read."""
        manifest = path / "model.json"
        if not path.is_dir():
            reason = "is not a directory: set MODEL_DIR to a model's directory, such as the project's model/"
            raise ModelError(path, reason)
        try:
            fields = json.loads(manifest.read_text(encoding="utf-8"))
            _check_sizes(path, {name: int(facts["bytes"]) for name, facts in fields["files"].items()})
            return cls.from_fields(path, fields)
        except FileNotFoundError as error:
            raise ModelError(manifest, f"is missing: {REMEDY}") from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ModelError(manifest, f"cannot be read ({error}): {REMEDY}") from error
        except (KeyError, IndexError) as error:
            raise ModelError(manifest, f"lacks {error}: {REMEDY}") from error

    @classmethod
    def from_fields(cls, path: Path, fields: dict[str, Any]) -> ModelDirectory:
        """Raises KeyError, TypeError or ValueError if `fields` are not those of a model.json."""
        ids, session, reference = fields["special_token_ids"], fields["session"], fields["reference"]
        scores = [Reference(str(score["text"]), float(score["toxicity"])) for score in reference["scores"]]
        if fields["activation"] not in {"softmax", "sigmoid"}:
            raise ValueError(f"activation is {fields['activation']!r}, not softmax or sigmoid")
        if not set(fields["toxic_labels"]) <= set(fields["labels"]) or not fields["toxic_labels"]:
            raise ValueError(f"toxic_labels {fields['toxic_labels']} are not among labels {fields['labels']}")
        threshold = float(fields["threshold"])
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold:g}, not from 0 to 1")
        # Older model directories have only one threshold.
        threshold_maybe = float(fields.get("threshold_maybe", threshold))
        if not 0 <= threshold_maybe <= threshold:
            raise ValueError(f"threshold_maybe is {threshold_maybe:g}, not from 0 to the threshold of {threshold:g}")
        window = int(fields.get("window", fields["max_length"]))
        if not 2 < window <= int(fields["max_length"]):
            raise ValueError(f"window is {window}, not 3 to the {fields['max_length']} tokens that the model can read")
        scoring = json.dumps({name: fields.get(name) for name in SCORING}, sort_keys=True)
        version = hashlib.sha256(scoring.encode()).hexdigest()
        return cls(
            path=path,
            version=version,
            name=f"{fields.get('source', path.name)}@{version[:12]}",
            labels=tuple(fields["labels"]),
            toxic_labels=frozenset(fields["toxic_labels"]),
            activation=fields["activation"],
            temperature=float(fields["temperature"]),
            threshold=threshold,
            threshold_maybe=threshold_maybe,
            window=window,
            bos_id=int(ids["bos"]),
            eos_id=int(ids["eos"]),
            pad_id=int(ids["pad"]),
            input_names=tuple(fields["input_names"]),
            graph_optimization=str(session["graph_optimization"]),
            session_config={str(key): str(value) for key, value in session["config"].items()},
            references=(scores[0], max(scores, key=lambda score: score.toxicity)),
            reference_tolerance=float(reference["tolerance"]),
        )


def _check_sizes(path: Path, sizes: dict[str, int]) -> None:
    for required in ("model.onnx", "tokenizer.json"):
        if required not in sizes:
            raise ValueError(f"it does not list {required}")
    for name, expected in sizes.items():
        file = path / name
        if not file.is_file():
            raise ModelError(file, f"is missing, but model.json lists it: {REMEDY}")
        if (found := file.stat().st_size) != expected:
            raise ModelError(file, f"has {found:,} bytes where model.json records {expected:,}: {REMEDY}")
