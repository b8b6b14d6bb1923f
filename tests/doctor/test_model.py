"""Findings about the model on this machine: damaged files, thresholds that do not fit."""

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
    assert "make model" in report.the("model")["remedy"]


def test_it_is_told_from_where_a_message_is_and_may_be_toxic(examine: Examine) -> None:
    examined = examine(MODEL_DIR=str(ROOT / "model"), TOXIC_THRESHOLD="0.9", MAYBE_TOXIC_THRESHOLD="0.4")
    assert examined.the("model")["sentence"].endswith("toxic from 0.9, and may be from 0.4")


def test_one_threshold_for_both_is_told_once(examine: Examine) -> None:
    examined = examine(MODEL_DIR=str(ROOT / "model"), TOXIC_THRESHOLD="0.9", MAYBE_TOXIC_THRESHOLD="0.9")
    assert examined.the("model")["sentence"].endswith("toxic from 0.9")


def test_a_threshold_that_does_not_fit_the_models_is_named(examine: Examine) -> None:
    report = examine(MODEL_DIR=str(ROOT / "model"), MAYBE_TOXIC_THRESHOLD="1")
    assert report.mark("model") == "wrong"
    assert "MAYBE_TOXIC_THRESHOLD is 1, above 0." in report.told("model")
    assert "use a number from 0 to 0." in report.the("model")["remedy"]
