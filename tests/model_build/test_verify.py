"""Verifying a model directory: one flipped byte is found, a score that moved is found, quality is measured."""

from __future__ import annotations

import json
import lzma
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from model_build.__main__ import main
from model_build.quality import roc_auc
from model_build.reference import TEXTS

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Built


@pytest.fixture
def model(built: Built, tmp_path: Path) -> Path:
    return shutil.copytree(built.model, tmp_path / "model")


def test_what_was_built_is_accepted(built: Built, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--model", str(model), "--source", str(built.checkpoint)]) == 0
    assert "largest difference to PyTorch" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_f51_a_flipped_byte_is_found(model: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((model / name).read_bytes())
    content[len(content) // 2] ^= 1
    (model / name).write_bytes(content)
    assert main(["verify", "--model", str(model)]) == 1
    assert f"{model / name} has the checksum" in capsys.readouterr().err


def test_f51_a_missing_file_is_found(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / "model.onnx").unlink()
    assert main(["verify", "--model", str(model)]) == 1
    assert f"{model / 'model.onnx'} is missing" in capsys.readouterr().err


@pytest.mark.parametrize("row", [0, 5])
def test_a_reference_score_that_moved_is_found(model: Path, row: int, capsys: pytest.CaptureFixture[str]) -> None:
    fields = json.loads((model / "model.json").read_text())
    fields["reference"]["scores"][row]["toxicity"] += 0.05
    (model / "model.json").write_text(json.dumps(fields))
    assert main(["verify", "--model", str(model)]) == 1
    assert "reference text" in capsys.readouterr().err


def test_another_checkpoint_is_refused(
    built: Built, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(built.checkpoint, tmp_path / "other")
    with (other / "model.safetensors").open("ab") as file:
        file.write(b" ")
    assert main(["verify", "--model", str(model), "--source", str(other)]) == 1
    assert "pass the checkpoint that it was built from" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.xz"])
def test_quality_is_measured_and_recorded(built: Built, model: Path, tmp_path: Path, suffix: str) -> None:
    rows = [{"text": text, "label": number % 2, "split": "test"} for number, text in enumerate(TEXTS)]
    rows.append({"text": "of another split", "label": 1, "split": "train"})
    rows.append({"text": " ".join(TEXTS), "label": 1, "split": "test"})  # longer than the window of 64 tokens
    labelled = tmp_path / f"labelled{suffix}"
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    labelled.write_bytes(lzma.compress(content) if suffix.endswith("xz") else content)

    arguments = ["verify", "--model", str(model), "--quality", str(labelled)]
    assert main(arguments) == 1, "without the checkpoint there is nothing to compare with"
    assert main([*arguments, "--source", str(built.checkpoint)]) == 0

    quality = json.loads((model / "model.json").read_text())["measured"]["quality"]
    assert (quality["texts"], quality["toxic"]) == (len(TEXTS), len(TEXTS) // 2)
    assert quality["auc_served"] == pytest.approx(quality["auc_pytorch"], abs=0.1)
    assert quality["largest_difference"] < 0.05
    assert f"{quality['auc_served']:.4f}" in (model / "MODEL_CARD.md").read_text()
    assert main(["verify", "--model", str(model)]) == 0


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], 1.0),
        ([0.9, 0.8, 0.2, 0.1], 0.0),
        ([0.5, 0.5, 0.5, 0.5], 0.5),
        ([0.1, 0.5, 0.5, 0.9], 0.875),
    ],
)
def test_roc_auc(scores: list[float], expected: float) -> None:
    assert roc_auc(np.array([0, 0, 1, 1]), np.array(scores)) == pytest.approx(expected)
