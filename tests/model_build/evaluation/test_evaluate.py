"""The whole path from the command line: a report on two models beside the baseline, and figures in a card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model_build.evaluate.__main__ import main
from model_build.evaluate.baseline import NAME as BASELINE

ROOT = Path(__file__).parent.parent.parent.parent


@dataclass(frozen=True)
class Written:
    """Where the report is, and what it says."""

    folder: Path
    cache: Path
    arguments: list[str]
    fields: dict[str, Any]


@pytest.fixture(scope="module")
def written(labelled: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("report")
    models = [f"served={ROOT / 'model'}", f"tiny={checkpoint}"]
    arguments = ["--models", *models, "--data", str(labelled), "--out", str(folder / "out"), "--threads", "1"]
    arguments += ["--cache", str(folder / "cache"), "--bootstrap", "60"]
    assert main(arguments) == 0
    return Written(
        folder / "out", folder / "cache", arguments, json.loads((folder / "out" / "report.json").read_text())
    )


def test_every_model_and_the_baseline_have_every_figure(written: Written) -> None:
    assert list(written.fields["models"]) == [BASELINE, "served", "tiny"]
    for found in written.fields["models"].values():
        assert set(found["sources"]) == {"forum", "gh_incivility", "spans"}
        assert set(found["slices"]) == set(written.fields["slices"]) == {"work chat", "lower case", "leetspeak"}
        assert found["mean_source_auc"] == pytest.approx(
            (found["sources"]["forum"]["auc"] + found["sources"]["gh_incivility"]["auc"]) / 2, abs=1e-6
        )
        low, high = found["mean"]["auc_interval"]
        assert low <= found["mean_source_auc"] <= high
        assert found["sources"]["spans"]["auc"] is None
        assert found["milliseconds"] > 0
    assert written.fields["models"]["served"]["all"]["auc"] > 0.9, "it tells insults from work talk"


def test_who_is_not_above_the_baseline_is_named(written: Written) -> None:
    page, models = (written.folder / "report.md").read_text(), written.fields["models"]
    assert models[BASELINE]["mean_source_auc"] == 1.0, "nothing is above it"
    assert models["tiny"]["below_baseline"] == ["forum", "gh_incivility"]
    assert "**tiny is not above the baseline on forum, gh_incivility.**" in page
    assert models[BASELINE]["below_baseline"] == []


def test_every_table_has_every_model(written: Written) -> None:
    page = (written.folder / "report.md").read_text()
    tables = [part for part in page.split("\n\n") if part.startswith("| ")]
    assert len(tables) == 7
    for table in tables:
        assert all(name in table for name in (BASELINE, "served", "tiny")), table


def test_no_message_stands_in_any_output(written: Written, labelled: Path) -> None:
    texts = [json.loads(line)["text"].encode() for line in labelled.read_text(encoding="utf-8").splitlines()]
    for file in (*written.folder.iterdir(), *written.cache.iterdir()):
        content = file.read_bytes()
        assert not any(text in content for text in texts), file


@pytest.mark.parametrize("name", ["roc.png", "reliability.png", "scores.png"])
def test_the_plots_are_pictures(written: Written, name: str) -> None:
    assert (written.folder / name).read_bytes().startswith(b"\x89PNG")
    assert f"({name})" in (written.folder / "report.md").read_text()


def test_a_second_report_scores_nothing(written: Written, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", *written.arguments, "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "texts, " not in output
    assert "training" not in output
    again = json.loads((tmp_path / "report.json").read_text())
    for name, found in written.fields["models"].items():
        assert {**again["models"][name], "milliseconds": 0} == {**found, "milliseconds": 0}


def test_figures_are_recorded_with_the_model(written: Written, model: Path) -> None:
    report = str(written.folder / "report.json")
    assert main(["record", "--model", str(model), "--report", report, "--name", "served"]) == 0
    recorded = json.loads((model / "model.json").read_text())["measured"]["evaluation"]
    assert recorded["model"]["all"] == written.fields["models"]["served"]["all"]
    assert recorded["baseline"]["mean_source_auc"] == 1.0
    assert (
        set(recorded["model"]) == set(recorded["baseline"]) == set(written.fields["models"]["tiny"]) - {"reliability"}
    )
    assert recorded["data"]["rows"] == 50
    card = (model / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "## Evaluation" in card
    assert "## Known failures" in card


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("other", {}, "it tells of n-gram baseline, served, tiny"),
        ("tiny", {}, "tells of another checksum"),
        ("served", {"threshold": 0.123}, "tells of another threshold under the name served"),
        ("served", {"temperature": 1.5}, "tells of another checksum under the name served"),
    ],
)
def test_figures_of_another_model_are_refused(
    written: Written, model: Path, name: str, change: dict[str, float], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    described = model / "model.json"
    fields = json.loads(described.read_text()) | change
    described.write_text(json.dumps(fields))
    report = str(written.folder / "report.json")
    assert main(["record", "--model", str(model), "--report", report, "--name", name]) == 1
    assert message in capsys.readouterr().err
    assert json.loads(described.read_text()) == fields


def test_a_damaged_model_is_named(written: Written, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / "model.onnx.data").unlink()  # a link to the model that ships
    (model / "model.onnx.data").write_bytes(b"too short")
    report = str(written.folder / "report.json")
    assert main(["record", "--model", str(model), "--report", report, "--name", "served"]) == 1
    assert "model.onnx.data" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("one", "one"), (BASELINE, "one")])
def test_names_must_differ(
    names: tuple[str, str], labelled: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--models", *(f"{name}={model}" for name in names), "--data", str(labelled)]) == 1
    assert "pass a name of its own" in capsys.readouterr().err


def test_a_report_that_is_missing_is_named(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "report.json")
    assert main(["record", "--model", str(model), "--report", missing, "--name", "served"]) == 1
    assert f"{missing} is missing" in capsys.readouterr().err
