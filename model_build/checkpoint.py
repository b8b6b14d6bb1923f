"""What the steps after the export must know of a checkpoint, without torch and without the checkpoint itself.

The export writes it beside its graph as `checkpoint.json`; fusing, quantizing and assembling read it from there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """A sequence classifier: its origin, its shape, its labels, and PyTorch's scores of the reference texts."""

    source: str
    revision: str
    licence: str
    labels: list[str]
    toxic_labels: list[str]
    activation: str
    max_length: int
    special_token_ids: dict[str, int]
    input_names: list[str]
    layers: int
    heads: int
    hidden_size: int
    parameters: int
    reference: dict[str, float]
    versions: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write the file into a step's folder."""
        (folder / FILE_NAME).write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """Raises ModelBuildError if the step that writes this folder has not been run."""
        try:
            fields: dict[str, Any] = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ModelBuildError(
                f"{folder / FILE_NAME} is missing: run the steps in order, export, fuse, quantize, optimize, assemble"
            ) from error
        return cls(**fields)
