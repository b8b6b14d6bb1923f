"""Render Markdown pages such as MODEL_CARD.md, the description of a model.

Every number in the card comes from `model.json`. Sections without measurements there are left out.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from model_build import manifest
from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME = "MODEL_CARD.md"
TEMPLATE = Path(__file__).with_name("model_card.md.j2")
DATA_COLUMNS = ("name", "origin", "licence", "use")  # of the rows of `data` in the file for --about
UNKNOWN = "\u2013"  # an en dash


def read_about(file: Path) -> dict[str, Any]:
    """Read the description of data, training and purpose for the card. Raises ModelBuildError if it is malformed."""
    remedy = "pass another --about"
    about = manifest.read_json(file, remedy)
    for name in ("data", "training", "not_for"):
        if not isinstance(about.get(name, []), list):
            raise ModelBuildError(f"{name} in {file} is not a list: {remedy}")
    for row in about.get("data", []):
        if not isinstance(row, dict) or not row.keys() >= {*DATA_COLUMNS}:
            raise ModelBuildError(f"a row of data in {file} lacks one of {', '.join(DATA_COLUMNS)}: {remedy}")
    return about


def write(folder: Path, fields: Mapping[str, Any]) -> None:
    """Write `model.json` and the model card with the same content. If the card cannot be written, neither changes."""
    about = {"summary": "", "data": [], "training": [], "not_for": []} | fields.get("about", {})
    threshold_maybe = fields.get("threshold_maybe", fields["threshold"])
    measured = dict.fromkeys(("quality", "calibration", "evaluation", "written")) | fields["measured"]
    shown = {**fields, **measured, "about": about, "threshold_maybe": threshold_maybe}
    manifest.write_text(folder / FILE_NAME, render(TEMPLATE, shown))
    manifest.write_json(folder / manifest.FILE_NAME, fields)


def render(template: Path, fields: dict[str, Any]) -> str:
    """Render a template. Raises jinja2.UndefinedError if `fields` lacks a variable of the template."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=False,  # noqa: S701 - Markdown for repositories, not HTML for browsers
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": _number,
        "significant": _significant,
        "percent": partial(_number, factor=100, digits=1),
        "count": "{:,}".format,
    }
    return environment.get_template(template.name).render(fields)


def _significant(value: float | None) -> str:
    """Format a number with four significant digits, or as a dash if it is None."""
    return UNKNOWN if value is None else f"{value:.4g}"


def _number(
    value: float | None, interval: tuple[float, float] | None = None, *, factor: int = 1, digits: int = 3
) -> str:
    """Format a number, followed by its interval in parentheses if there is one."""
    if value is None:
        return UNKNOWN
    shown, *ends = (f"{factor * each:.{digits}f}" for each in (value, *(interval or ())))
    return f"{shown} ({ends[0]} to {ends[1]})" if ends else shown
