"""README.md tells the truth about what a test can check: configuration, layout, commands."""

from __future__ import annotations

import re
from pathlib import Path

from settings import DEFAULTS

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
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert named - targets == set()


def test_every_file_it_links_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert [link for link in links if not (ROOT / link).exists()] == []
