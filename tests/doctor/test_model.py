"""Findings about the model on this machine: damaged files, thresholds that do not fit."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doctor.conftest import Examine


@pytest.mark.failure(51)
def test_a_damaged_model_is_named_by_its_file(examine: Examine, tmp_path: Path) -> None:
    for name in ("model.json", "tokenizer.json"):
        shutil.copy(ROOT / "model" / name, tmp_path)
    (tmp_path / "model.onnx").write_bytes((ROOT / "model" / "model.onnx").read_bytes()[:1000])
    words = "model.onnx has 1,000 bytes where model.json records", "make model"
    examine(MODEL_DIR=str(tmp_path)).expect({"model": ("wrong", *words)})


@pytest.mark.parametrize(
    ("toxic", "maybe", "end"), [("0.9", "0.4", "toxic from 0.9, and may be from 0.4"), ("0.9", "0.9", "toxic from 0.9")]
)
def test_both_thresholds_are_named_unless_they_are_the_same(examine: Examine, toxic: str, maybe: str, end: str) -> None:
    report = examine(MODEL_DIR=str(ROOT / "model"), TOXIC_THRESHOLD=toxic, MAYBE_TOXIC_THRESHOLD=maybe)
    assert report.the("model")["sentence"].endswith(end)


def test_a_threshold_that_does_not_fit_the_models_is_named(examine: Examine) -> None:
    words = "MAYBE_TOXIC_THRESHOLD is 1, above 0.", "use a number from 0 to 0."
    examine(MODEL_DIR=str(ROOT / "model"), MAYBE_TOXIC_THRESHOLD="1").expect({"model": ("wrong", *words)})
