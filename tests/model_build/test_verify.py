"""Verification of a model directory: damaged files, changed scores and the comparison with PyTorch."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import reset_sessions

from model_build.errors import ModelBuildError
from model_build.manifest import REFERENCE_TEXTS
from model_build.verify import check_weights, compare_with_pytorch, record_quality, verify
from tests.model_build.conftest import Built, edit_json, read_json, write_rows
from tests.model_build.test_source import KNOWN, hub_cache
from toxicity_bot.classifier import Classifier
from toxicity_bot.errors import BotError, ModelError


@pytest.fixture
def model(built: Built, tmp_path: Path) -> Path:
    return shutil.copytree(built.model, tmp_path / "model")


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json"])
def test_a_flipped_byte_and_a_missing_file_are_found(model: Path, name: str) -> None:
    content = bytearray((model / name).read_bytes())
    content[len(content) // 2] ^= 1
    (model / name).write_bytes(content)
    with pytest.raises(ModelBuildError, match=f"{model / name} has the checksum"):
        verify(model)
    (model / name).unlink()
    with pytest.raises(ModelError, match=f"{model / name} is missing"):
        verify(model)
    (model / "model.json").write_text("{}")
    with pytest.raises(ModelError, match="lacks 'files'"):
        verify(model)


@pytest.mark.parametrize("row", [0, 5])
def test_a_changed_reference_score_is_found(model: Path, row: int) -> None:
    reference = read_json(model / "model.json")["reference"]
    reference["scores"][row]["toxicity"] += 0.05
    edit_json(model / "model.json", reference=reference)
    with pytest.raises(BotError, match="reference text"):
        verify(model)


def test_every_matrix_is_checked_for_7_bit_weights(built: Built) -> None:
    assert check_weights(built.model) == 6 * built.layers + 2
    with pytest.raises(ModelBuildError, match="multiplies no 8-bit matrix"):
        check_weights(built.work / "fused")


def test_another_checkpoint_is_refused(built: Built, tmp_path: Path) -> None:
    other = shutil.copytree(built.checkpoint, tmp_path / "other")
    with (other / "model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelBuildError, match="pass the checkpoint that it was built from"):
        compare_with_pytorch(Classifier(built.model, threads=1), built.model, str(other))


def test_a_hub_model_is_compared_at_the_revision_that_was_built(
    built: Built, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    reset_sessions()
    commit = "0" * 40  # not the default
    hub_cache(tmp_path, built.checkpoint, commit)
    edit_json(model / "model.json", revision=commit)
    compare_with_pytorch(Classifier(model, threads=1), model, KNOWN)
    edit_json(model / "model.json", revision="1" * 40)
    with pytest.raises(ModelBuildError, match=f"at revision {'1' * 40} is not in the local cache"):
        compare_with_pytorch(Classifier(model, threads=1), model, KNOWN)


def test_quality_is_measured_and_recorded(
    built: Built, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": text, "label": number % 2, "split": "test"} for number, text in enumerate(REFERENCE_TEXTS)]
    rows.append({"text": "of another split", "label": 1, "split": "train"})
    rows.append({"text": "without a split, so for training", "label": 1})
    rows.append({"text": "\u200b", "label": 1, "split": "test"})  # empty after folding
    rows.append({"text": "\ufffd", "label": 1, "split": "test"})  # nothing to judge
    rows.append({"text": " ".join(REFERENCE_TEXTS), "label": 1, "split": "test"})  # longer than the window
    rows.append({"text": "of neither label", "label": 2, "split": "test"})
    labelled = write_rows(tmp_path / "labelled.jsonl", *rows)
    classifier = Classifier(model, threads=1)

    module = compare_with_pytorch(classifier, model, str(built.checkpoint))
    assert "largest difference from PyTorch" in capsys.readouterr().out
    record_quality(classifier, module, model, labelled, sample=3000, skip_bad_rows=True)
    assert f"labelled.jsonl, line {len(rows)}: label is 2" in capsys.readouterr().out

    quality = read_json(model / "model.json")["measured"]["quality"]
    assert (quality["texts"], quality["toxic"]) == (len(REFERENCE_TEXTS), len(REFERENCE_TEXTS) // 2)
    assert quality["auc_served"] == pytest.approx(quality["auc_pytorch"], abs=0.1)
    assert quality["largest_difference"] < 0.05
    called = [classifier.assess(text).toxicity >= classifier.threshold for text in REFERENCE_TEXTS]
    assert quality["sensitivity_served"] == pytest.approx(np.mean(called[1::2]), abs=1e-5)
    assert quality["specificity_served"] == pytest.approx(1 - np.mean(called[::2]), abs=1e-5)
    assert quality["sensitivity_pytorch"] == pytest.approx(quality["sensitivity_served"], abs=0.2)
    assert f"{quality['auc_served']:.4f}" in (model / "MODEL_CARD.md").read_text()
    verify(model)
    write_rows(labelled, *rows[:-1:2])
    with pytest.raises(ModelBuildError, match="needs test rows of both labels"):
        record_quality(classifier, module, model, labelled, sample=10)
