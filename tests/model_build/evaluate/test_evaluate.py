"""The commands `evaluate` and `calibrate`: a report on two models and the baseline, and its record in a card."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model_build.errors import ModelBuildError
from model_build.evaluate.cli import NamedFolder, evaluate
from model_build.evaluate.evaluation_set import CHANGES
from model_build.evaluate.goals import GOALS
from model_build.evaluate.models import BASELINE
from tests import ROOT
from tests.model_build.conftest import edit_json, read_json, run_command, write_rows

CHAT = ("sudo apt install it", "you fool, read the manual", "thanks, that worked")
GROUP = "My mentor is deaf."


@dataclass(frozen=True)
class Written:
    """A report, its folder, which also contains the cache, and the printed output."""

    folder: Path
    output: str
    report: dict[str, Any]


@pytest.fixture(scope="module")
def written(labelled: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A report on 50 labelled messages, three of the project's own, and two of three chat messages."""
    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("report")
    chat = data / "chat.txt"
    chat.write_text("".join(message + "\n" for message in CHAT))
    test: dict[str, Any] = {"split": "test", "source": "written", "detail": {"kind": "praise | thanks", "pair": "p1"}}
    own = write_rows(
        data / "own.jsonl",
        test | {"text": "You are\na|gem.", "label": 0},
        test | {"text": "You are a fraud.", "label": 1},
        test | {"text": GROUP, "label": 0, "source": "identity", "detail": {"frame": "f1"}},
    )
    irc: dict[str, Any] = {"source": "ubuntu_irc", "split": "test"}
    checksums = [hashlib.sha256(message.encode()).hexdigest() for message in CHAT]
    rows = [irc | {"text_sha256": checksums[label], "label": label} for label in (0, 1)]
    models = f"served={ROOT / 'model'}", f"tiny={checkpoint}"
    files = (labelled, own, write_rows(data / "irc.jsonl", *rows))
    given = [word for file in files for word in ("--data", file)] + ["--chat", chat, "--out", folder, "--cache", folder]
    result = run_command("evaluate", *models, *given, "--threads", 1, "--bootstrap", 60)
    assert result.exit_code == 0
    return Written(folder, result.output, read_json(folder / "report.json"))


def test_all_metrics_are_reported_for_all_models_and_the_baseline(written: Written) -> None:
    assert list(written.report["models"]) == [BASELINE, "served", "tiny"]
    assert written.report["data"]["file"] == "labelled.jsonl, own.jsonl, irc.jsonl"
    assert (written.report["data"]["rows"], written.report["data"]["chat"]) == (55, 1)
    for found in written.report["models"].values():
        assert set(found["sources"]) == {"forum", "gh_incivility", "spans", "written", "ubuntu_irc", "identity"}
        assert set(found["slices"]) == set(written.report["slices"]) >= {"work discussions", "as written", *CHANGES}
        areas = [source["auc"] for source in found["sources"].values() if source["auc"] is not None]
        assert found["mean_source_auc"] == pytest.approx(sum(areas) / 4, abs=1e-6)
        low, high = found["mean"]["auc_interval"]
        assert low <= found["mean_source_auc"] <= high
        assert found["sources"]["spans"]["auc"] is None
        assert found["milliseconds"] > 0
    assert written.report["models"]["served"]["all"]["auc"] > 0.9, "the model must tell insults from work talk"
    below = {name: found["below_baseline"] for name, found in written.report["models"].items()}
    assert below[BASELINE] == []
    assert {*below["served"]} & {*below["tiny"]} >= {"forum", "gh_incivility"}


def test_the_goals_are_printed(written: Written) -> None:
    assert len([line for line in written.output.splitlines() if "| ≥ " in line or "| ≤ " in line]) == len(GOALS)
    values = {goal["name"]: goal["values"] for goal in written.report["goals"]}
    assert list(values["written messages: AUC"]) == [BASELINE, "served", "tiny"]
    assert values["with a swear word: AUC"]["tiny"] is None, "there is no such message"
    (row,) = (line for line in written.output.splitlines() if line.startswith(f"| goals met, of {len(GOALS)} "))
    met = [sum(name in goal["met"] for goal in written.report["goals"]) for name in (BASELINE, "served", "tiny")]
    assert [int(cell) for cell in row.split("|")[3:-1]] == met


def test_the_page_has_all_models_in_every_table_and_all_plots(written: Written) -> None:
    page = (written.folder / "report.md").read_text(encoding="utf-8")
    tables = [part.replace("\\|", "") for part in page.split("\n\n") if part.startswith("| ")]
    assert len(tables) == 12
    assert tables[0].startswith("| goal ")
    for table in tables:
        assert "message | score |" in table or all(name in table for name in (BASELINE, "served", "tiny")), table
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    for name in ("roc.png", "reliability.png", "scores.png"):
        assert f"({name})" in page
        assert (written.folder / name).read_bytes().startswith(b"\x89PNG")
    for expected in ("| You are a\\|gem. | ", "| You are a fraud. | ", "| praise \\| thanks | 1 | "):
        assert expected in page
    assert "a random sample of 1 message." in page


def test_outputs_and_the_cache_contain_no_messages_except_the_projects_own(written: Written, labelled: Path) -> None:
    texts = [json.loads(line)["text"] for line in labelled.read_text(encoding="utf-8").splitlines()]
    for file in written.folder.iterdir():
        content = file.read_bytes()
        assert not any(text.encode() in content for text in (*texts, *CHAT, GROUP)), file


def test_a_finished_report_can_be_rendered_again_and_recorded_with_the_model(written: Written, model: Path) -> None:
    page = written.folder / "report.md"
    before = page.read_bytes()
    page.unlink()
    assert run_command("evaluate", "--record", f"served={model}", "--out", written.folder).exit_code == 0
    assert page.read_bytes() == before
    measured = read_json(model / "model.json")["measured"]
    recorded, models = measured["evaluation"], written.report["models"]
    assert recorded["model"] == {name: value for name, value in models["served"].items() if name != "reliability"}
    assert recorded["baseline"] == {name: value for name, value in models[BASELINE].items() if name != "reliability"}
    assert recorded["data"]["rows"] == 55
    assert measured["written"] == written.report["written"]
    (auc,) = (goal for goal in recorded["goals"] if goal["name"] == "open collections: AUC of gh_incivility")
    assert (auc["model"], auc["baseline"]) == (models["served"]["sources"]["gh_incivility"]["auc"], 1.0)
    card = (model / "MODEL_CARD.md").read_text(encoding="utf-8")
    for heading in ("## Evaluation", "## Goals", "## Known failures"):
        assert heading in card


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("other", {}, "has no model other, only n-gram baseline, served, tiny"),
        ("tiny", {}, "has another checksum"),
        ("served", {"threshold": 0.95}, "served in .* has another threshold than"),
        ("served", {"threshold_maybe": 0.01}, "served in .* has another threshold_maybe than"),
        ("served", {"temperature": 1.5}, "served in .* has another checksum than"),
    ],
)
def test_metrics_of_another_model_are_refused(
    written: Written, model: Path, name: str, change: dict[str, float], message: str
) -> None:
    edit_json(model / "model.json", **change)
    before = read_json(model / "model.json")
    with pytest.raises(ModelBuildError, match=message):
        run_command("evaluate", "--record", f"{name}={model}", "--out", written.folder)
    assert read_json(model / "model.json") == before


@pytest.mark.parametrize("name", ["one", BASELINE])
def test_names_must_differ_and_a_report_must_exist(name: str, labelled: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match="pass a different name for each"):
        evaluate([NamedFolder("one", model), NamedFolder(name, model)], [labelled])
    with pytest.raises(ModelBuildError, match=r"report\.json is missing: pass models and --data"):
        evaluate(out=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "model"], "model is not NAME=FOLDER"),
        (["evaluate", "one=model"], "pass both models, as NAME=FOLDER, and --data"),
        (["evaluate", "--bootstrap", "0"], "--bootstrap"),
        (["evaluate", "--seed", "-1"], "--seed"),
        (["calibrate", "--data", "x.jsonl", "--false-positive-rate", "1"], "--false-positive-rate"),
    ],
)
def test_invalid_arguments_are_usage_errors(arguments: list[str], message: str) -> None:
    result = run_command(*arguments)
    assert result.exit_code == 2
    assert message in result.output
