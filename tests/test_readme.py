"""README.md tells the truth about what a test can check: configuration, layout, commands."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from toxicity_bot.settings import DEFAULTS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_configuration_table_names_every_variable_with_its_default() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| .+ \| (.+) \|$", section("Configuration"), re.MULTILINE)
    documented = {name: "" if default == "\u2013" else default.strip("`") for name, default in rows}
    assert documented == dict(DEFAULTS)


def test_the_layout_names_every_module_of_lambda() -> None:
    layout = section("Layout")
    missing = [path.name for path in (ROOT / "lambda").glob("*.py") if path.stem not in layout]
    assert missing == []


def test_every_command_it_names_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md", "docs/operations.md", ".github/workflows/ci.yml", ".ci/run"):
        commands = re.findall(r"(?:`|run: |^|&& )make ((?:[a-z-]+ ?)+)", (ROOT / name).read_text(), re.MULTILINE)
        assert {target for command in commands for target in command.split()} - targets == set(), name


def test_every_file_it_links_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_costs_add_up() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| ([0-9][^|]*) \| ([0-9.]+) \| ([0-9.]+) \|$", section("What it costs"), re.MULTILINE
    )
    (total,) = re.findall(r"\*\*in all\*\* \| \| \*\*([0-9.]+)\*\* \| \*\*([0-9.]+)\*\*", section("What it costs"))
    assert len(rows) == 7
    for arithmetic, per_thousand, per_million in rows:
        factors = [float(factor.split()[0]) for factor in arithmetic.split("\u00d7")]
        assert math.prod(factors) == pytest.approx(float(per_million), abs=0.01), arithmetic
        assert float(per_thousand) == pytest.approx(float(per_million) / 1000, abs=0.0001), arithmetic
    assert sum(float(per_million) for _, _, per_million in rows) == pytest.approx(float(total[1]), abs=0.01)
