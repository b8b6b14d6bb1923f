"""Where the runtimes find what they load: the checkpoint, the served model, and what was made of them for the peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """`work` is the benchmark's own and holds a folder for each form of the checkpoint."""

    checkpoint: Path
    model: Path
    work: Path

    @property
    def exported(self) -> Path:
        """Optimum's export at full precision."""
        return self.work / "exported"

    @property
    def stock(self) -> Path:
        """The export as Optimum quantizes it."""
        return self.work / "stock"

    @property
    def openvino(self) -> Path:
        """OpenVINO's representation, quantized by NNCF."""
        return self.work / "openvino"

    @property
    def ctranslate2(self) -> Path:
        """CTranslate2's encoder, and the classification head beside it."""
        return self.work / "ctranslate2"
