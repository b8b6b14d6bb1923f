"""Contestants: scored as the bot or as PyTorch does, and known by whatever changes a score."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from model_build.errors import ModelBuildError
from model_build.evaluate.contestants import contestant
from model_build.source import locate
from model_build.steps import REFERENCE_TEXTS as TEXTS
from model_build.torch_model import TorchModel
from toxicity_bot.classifier import Classifier
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from pathlib import Path


def test_a_model_directory_is_scored_as_the_bot_does(model: Path) -> None:
    found = contestant("served", model, threads=1)
    classifier = Classifier(model, threads=1)
    assert found.load().toxicities(TEXTS[:4]) == [classifier.toxicity(text) for text in TEXTS[:4]]
    assert found.threshold == classifier.threshold
    assert found.bytes == sum(
        (model / name).stat().st_size for name in ("model.onnx", "model.onnx.data", "tokenizer.json")
    )


@pytest.mark.parametrize(("field", "value", "same"), [("temperature", 2.0, False), ("threshold", 0.9, True)])
def test_what_changes_a_score_changes_the_checksum(model: Path, field: str, value: float, same: bool) -> None:
    before = contestant("served", model, threads=1)
    fields = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(fields | {field: value}))
    assert (contestant("served", model, threads=1).checksum == before.checksum) == same


def test_a_checkpoint_is_scored_in_pytorch(checkpoint: Path) -> None:
    found = contestant("trained", checkpoint, threads=1)
    expected = TorchModel(locate(str(checkpoint))).toxicities(TEXTS)
    assert found.load().toxicities([fold(text) for text in TEXTS]) == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 0.1, "equal scores would agree with anything"
    assert found.threshold == 0.5


def test_a_text_longer_than_the_model_reads_is_cut(checkpoint: Path) -> None:
    scorer = contestant("trained", checkpoint, threads=1).load()
    long = " ".join(TEXTS * 10)
    assert scorer.toxicities([long]) == pytest.approx(scorer.toxicities([long + " And more."]), abs=1e-6)


def test_other_weights_are_another_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    other = shutil.copytree(checkpoint, tmp_path / "other")
    with (other / "model.safetensors").open("ab") as file:
        file.write(b" ")
    assert contestant("one", checkpoint, 1).checksum != contestant("one", other, 1).checksum


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match=r"--models empty=.* has neither model.json"):
        contestant("empty", tmp_path, threads=1)


def test_a_damaged_model_is_refused(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    with pytest.raises(ModelBuildError, match=r"tokenizer.json"):
        contestant("served", model, threads=1).load()
