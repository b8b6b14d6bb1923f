"""The model on this machine: damaged."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.doctor.conftest import Examine

ROOT = Path(__file__).parent.parent.parent


def test_f51_a_damaged_model_is_named_by_its_file(examine: Examine, tmp_path: Path) -> None:
    for name in ("model.json", "tokenizer.json"):
        shutil.copy(ROOT / "model" / name, tmp_path)
    (tmp_path / "model.onnx").write_bytes((ROOT / "model" / "model.onnx").read_bytes()[:1000])
    report = examine(MODEL_DIR=str(tmp_path))
    assert report.mark("model") == "wrong"
    assert "model.onnx has 1,000 bytes where model.json records" in report.told("model")
    assert "make model" in report.the("model")["mend"]
