"""A model directory is verified: a flipped byte, a missing file and a score that moved are found."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from model_build.errors import ModelBuildError
from model_build.verify import check_weights, verify

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Built


@pytest.fixture
def model(built: Built, tmp_path: Path) -> Path:
    return shutil.copytree(built.model, tmp_path / "model")


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json"])
def test_f51_a_flipped_byte_is_found(model: Path, name: str) -> None:
    content = bytearray((model / name).read_bytes())
    content[len(content) // 2] ^= 1
    (model / name).write_bytes(content)
    with pytest.raises(ModelBuildError, match=f"{model / name} has the checksum"):
        verify(model)


def test_f51_a_missing_file_is_found(model: Path) -> None:
    (model / "model.onnx").unlink()
    with pytest.raises(ModelBuildError, match=f"{model / 'model.onnx'} is missing"):
        verify(model)


@pytest.mark.parametrize("row", [0, 5])
def test_a_reference_score_that_moved_is_found(model: Path, row: int) -> None:
    fields = json.loads((model / "model.json").read_text())
    fields["reference"]["scores"][row]["toxicity"] += 0.05
    (model / "model.json").write_text(json.dumps(fields))
    with pytest.raises(ModelBuildError, match="reference text"):
        verify(model)


def test_every_matrix_is_checked_for_7_bit_weights(built: Built) -> None:
    assert check_weights(built.model) == 6 * built.layers + 2
    with pytest.raises(ModelBuildError, match="multiplies no 8-bit matrix"):
        check_weights(built.work / "fused")
