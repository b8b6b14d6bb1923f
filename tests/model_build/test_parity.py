"""A served model is compared with its PyTorch checkpoint, and its quality is measured and recorded."""

from __future__ import annotations

import json
import lzma
import shutil
from typing import TYPE_CHECKING

import pytest

from model_build.errors import ModelBuildError
from model_build.parity import compare_with_pytorch, record_quality
from model_build.steps import REFERENCE_TEXTS
from model_build.verify import verify
from toxicity_bot.classifier import Classifier

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Built


def test_another_checkpoint_is_refused(built: Built, tmp_path: Path) -> None:
    other = shutil.copytree(built.checkpoint, tmp_path / "other")
    with (other / "model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelBuildError, match="pass the checkpoint that it was built from"):
        compare_with_pytorch(Classifier(built.model, threads=1), built.model, str(other))


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.xz"])
def test_quality_is_measured_and_recorded(
    built: Built, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": text, "label": number % 2, "split": "test"} for number, text in enumerate(REFERENCE_TEXTS)]
    rows.append({"text": "of another split", "label": 1, "split": "train"})
    rows.append({"text": " ".join(REFERENCE_TEXTS), "label": 1, "split": "test"})  # longer than the window
    labelled = tmp_path / f"labelled{suffix}"
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    labelled.write_bytes(lzma.compress(content) if suffix.endswith("xz") else content)
    model = shutil.copytree(built.model, tmp_path / "model")
    classifier = Classifier(model, threads=1)

    module = compare_with_pytorch(classifier, model, str(built.checkpoint))
    assert "largest difference from PyTorch" in capsys.readouterr().out
    record_quality(classifier, module, model, labelled, sample=3000)

    quality = json.loads((model / "model.json").read_text())["measured"]["quality"]
    assert (quality["texts"], quality["toxic"]) == (len(REFERENCE_TEXTS), len(REFERENCE_TEXTS) // 2)
    assert quality["auc_served"] == pytest.approx(quality["auc_pytorch"], abs=0.1)
    assert quality["largest_difference"] < 0.05
    assert f"{quality['auc_served']:.4f}" in (model / "MODEL_CARD.md").read_text()
    verify(model)


def test_quality_needs_rows_of_both_labels(built: Built, tmp_path: Path) -> None:
    labelled = tmp_path / "labelled.jsonl"
    labelled.write_text('{"text": "Thanks!", "label": 0}\n')
    classifier = Classifier(built.model, threads=1)
    module = compare_with_pytorch(classifier, built.model, str(built.checkpoint))
    with pytest.raises(ModelBuildError, match="no test rows of both labels"):
        record_quality(classifier, module, built.model, labelled, sample=10)
