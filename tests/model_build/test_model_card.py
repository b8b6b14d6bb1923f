"""The pages match their templates and JSON files, and omit missing measurements."""

from pathlib import Path
from typing import Any

import jinja2
import pytest

from model_build import model_card
from model_build.evaluate import report_files
from tests import ROOT
from tests.model_build.conftest import read_json


@pytest.fixture
def fields() -> dict[str, Any]:
    return read_json(ROOT / "model" / "model.json")


def card(folder: Path, fields: dict[str, Any]) -> str:
    model_card.write(folder, fields)
    return (folder / model_card.FILE_NAME).read_text(encoding="utf-8")


def test_the_committed_pages_match_their_templates(fields: dict[str, Any], tmp_path: Path) -> None:
    assert card(tmp_path, fields) == (ROOT / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    folder = ROOT / "docs" / "evaluation"
    page = model_card.render(report_files.PAGE_TEMPLATE, report_files.read(folder))
    assert page == (folder / "report.md").read_text(encoding="utf-8")


def test_missing_measurements_have_no_section(fields: dict[str, Any], tmp_path: Path) -> None:
    fields["measured"] = {"steps": fields["measured"]["steps"]}
    del fields["about"], fields["threshold_maybe"]  # as in older model directories
    headings = [line for line in card(tmp_path, fields).splitlines() if line.startswith("## ")]
    assert headings == ["## How it was built", "## Cost of quantization", "## Reference scores", "## Limits"]


def test_a_card_that_cannot_be_rendered_changes_nothing(fields: dict[str, Any], tmp_path: Path) -> None:
    card(tmp_path, fields)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    fields["measured"]["evaluation"]["model"].clear()
    with pytest.raises(jinja2.UndefinedError):
        model_card.write(tmp_path, fields)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_sentences_depend_on_the_model(fields: dict[str, Any], tmp_path: Path) -> None:
    measured = fields["measured"]
    del measured["evaluation"]["goals"], measured["calibration"]["work_rows"]  # as in older model directories
    measured["calibration"] |= {"chat": None, "promise": None}
    measured["evaluation"]["model"]["below_baseline"] = []
    measured["written"]["failures"]["toxic"] = [{"text": "Leave |\nnow.", "toxicity": 0.014}]
    page = card(tmp_path, fields)
    for sentence in (
        "The n-grams are better on no source.",
        f"of {measured['calibration']['rows']:,} texts of split dev, which",
        "| Leave \\| now. | toxic | 0.01 |",
    ):
        assert sentence in page
    for gone in ("## Goals", "unlabelled chat", "the threshold was raised"):
        assert gone not in page
