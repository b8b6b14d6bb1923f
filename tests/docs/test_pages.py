"""README.md and docs/ agree with the code: tables of settings, scopes and metrics, commands, links and sums."""

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import ROOT
from tests.cloudformation import template
from toxicity_bot import Classifier
from toxicity_bot.settings import DEFAULTS

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# Pages with instructions. Other pages record measurements, with the commands used at that time.
SUBJECTS = "installing configuration cost operating performance development training scoring moderating socket_mode"
GUIDES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", *(f"docs/{subject}.md" for subject in SUBJECTS.split())]
EMPTY = "–"  # noqa: RUF001  # what tables show for "nothing"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def table(page: str, first_column: str) -> list[dict[str, str]]:
    """Return the rows of the table whose first column has this heading, without code marks."""
    (found,) = re.findall(rf"^(\| {re.escape(first_column)} \|(?:.*\n\|)*.*)", read(page), re.MULTILINE)
    heading, _, *rows = ([cell.strip(" `") for cell in line.strip("|").split("|")] for line in found.splitlines())
    return [dict(zip(heading, row, strict=True)) for row in rows]


def code(page: str) -> list[str]:
    """Return the lines of code blocks and the inline code."""
    text = read(page)
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line for block in blocks for line in block.splitlines()] + spans


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub creates for a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_settings_and_the_other_parameters_of_the_stack_are_documented_with_their_defaults() -> None:
    rows = table("docs/configuration.md", "variable")
    assert {row["variable"]: row["default"].replace(EMPTY, "") for row in rows} == dict(DEFAULTS)
    stack = template()
    functions = [stack["Globals"]["Function"], stack["Resources"]["Scorer"]["Properties"]]
    variables = [value for one in functions for value in one["Environment"]["Variables"].values()]
    of_the_bot = {value.get("Ref") for value in variables if isinstance(value, dict)}
    others = {name: str(one["Default"]) for name, one in stack["Parameters"].items() if name not in of_the_bot}
    rows = table("docs/configuration.md", "parameter")
    assert {row["parameter"]: row["default"].replace(EMPTY, "") for row in rows} == others


def test_the_scopes_of_the_slack_app_are_documented() -> None:
    manifest: dict[str, Any] = yaml.safe_load(read("slack/manifest.yaml"))
    documented = [row["scope"] for row in table("docs/installing.md", "scope")]
    assert documented == manifest["oauth_config"]["scopes"]["bot"]


def test_every_module_of_the_package_is_documented() -> None:
    cells = [row["module of `toxicity_bot"] for row in table("docs/development.md", "module of `toxicity_bot`")]
    documented = [name.strip(" `") for cell in cells for name in cell.split(",")]
    package = ROOT / "lambda"
    modules = {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    modules -= {"__init__"}
    assert sorted(documented) == sorted(modules)


@pytest.mark.parametrize("page", [*GUIDES, ".ci/run"])
def test_every_make_command_is_a_target(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    lines = read(page).splitlines() if page == ".ci/run" else code(page)
    commands = [match for line in lines for match in re.findall(r"(?:^|&& )\s*make((?:\s[a-z][a-z-]*\b)+)", line)]
    assert {target for command in commands for target in command.split()} - targets == set()


def test_every_target_is_documented() -> None:
    targets = set(re.findall(r"^([a-z-]+):(?!=)", read("Makefile"), re.MULTILINE)) - {"help"}
    documented = {name for row in table("docs/development.md", "target") for name in row["target"].split("`, `")}
    assert documented == targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_a_target(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize(("needs", "lines"), [("a reaction needs", 7), ("a watched message needs", 8)])
def test_the_costs_add_up(needs: str, lines: int) -> None:
    *rows, total = table("docs/cost.md", needs)
    assert len(rows) == lines
    for row in rows:
        arithmetic, thousand, million = list(row.values())[1:]
        factors = [float(factor.split()[0]) for factor in arithmetic.split("×")]  # noqa: RUF001
        assert math.prod(factors) == pytest.approx(float(million), abs=0.01), row
        assert float(thousand) == pytest.approx(float(million) / 1000, abs=0.0001), row
    summed = sum(float(row["per 1,000,000"]) for row in rows)
    assert summed == pytest.approx(float(total["per 1,000,000"].strip("*")), abs=0.01)


def test_the_metrics_in_the_readme_are_those_of_the_committed_model() -> None:
    evaluation = json.loads(read("model/model.json"))["measured"]["evaluation"]
    heading = f"{evaluation['data']['rows']:,} messages, {evaluation['data']['toxic']:,} of them toxic"
    rows = table("README.md", heading)
    for column, measured in (("this model", evaluation["model"]), ("n-grams", evaluation["baseline"])):
        work = measured["slices"]["work discussions"]
        assert [row[column] for row in rows] == [
            f"{measured['mean_source_auc']:.3f}",
            f"{measured['all']['auc']:.3f}",
            f"{measured['all']['tpr_at_1_percent']:.1%}".replace("%", " %"),
            f"{work['sensitivity']:.1%}".replace("%", " %"),
            f"{work['false_positive_rate']:.1%}".replace("%", " %"),
        ], column


def test_the_mistakes_in_the_readme_are_those_of_the_committed_model() -> None:
    classifier = Classifier()
    documented = {row["message"]: float(row["score"]) for row in table("README.md", "kind")}
    scored = {message: classifier.toxicity(message) for message in documented}
    tolerance = json.loads(read("model/model.json"))["reference"]["tolerance"]
    assert scored == pytest.approx(documented, abs=tolerance)


def test_the_counts_in_the_data_sheet_match_the_data() -> None:
    counted = {}
    for file in sorted((ROOT / "data").glob("*.jsonl")):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        pairs = Counter(row["detail"]["pair"] for row in rows if "pair" in row.get("detail", {}))
        whole = sum(messages == 2 for messages in pairs.values())  # some pairs lost a doubtful message
        counted[file.name] = [len(rows), sum(row["label"] for row in rows), whole]
    sheet = {row["file"]: list(row.values())[1:4] for row in table("data/README.md", "file")}
    assert {name: [int(cell.replace(",", "").replace(EMPTY, "0")) for cell in row] for name, row in sheet.items()} == (
        counted
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _phrases(text: str, length: int = 6) -> set[tuple[str, ...]]:
    """Return all runs of this many words, or all words of a shorter text."""
    words = _words(text)
    return {tuple(words[start : start + length]) for start in range(max(1, len(words) - length + 1))} - {()}


def test_the_training_data_contains_no_test_messages() -> None:
    rows = {
        name: [json.loads(line) for line in read(f"data/{name}.jsonl").splitlines()]
        for name in ("train", "dev", "test", "identity", "chat")
    }
    phrases = {name: {phrase for row in rows[name] for phrase in _phrases(row.get("text", ""))} for name in rows}
    assert not phrases["train"] & (phrases["dev"] | phrases["test"] | phrases["identity"])
    words = {name: {" ".join(_words(row["text"])) for row in rows[name]} for name in ("dev", "test")}
    assert not words["dev"] & words["test"]
    trained = [row["text_sha256"] for row in rows["chat"] if row["split"] == "train"]
    assert all("0e" <= checksum < "f2" for checksum in trained), (
        "evaluate and calibrate count alarms in the other messages"
    )
    assert len({row["text_sha256"] for row in rows["chat"]}) == len(rows["chat"])
