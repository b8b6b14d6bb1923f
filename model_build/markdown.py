"""Render Markdown pages from Jinja2 templates, with one way to write numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jinja2

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = "\u2013"  # an en dash


def render(template: Path, fields: dict[str, Any]) -> str:
    """Return the page; raises jinja2.UndefinedError if `fields` lacks something that the template names."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=False,  # noqa: S701 - Markdown for repositories, not HTML for browsers
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "percent": percent, "count": count}
    return environment.get_template(template.name).render(fields)


def number(value: float | None, interval: tuple[float, float] | None = None) -> str:
    """Return three decimals, and those of the interval in parentheses."""
    if value is None:
        return UNKNOWN
    return f"{value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def percent(value: float | None, interval: tuple[float, float] | None = None) -> str:
    """Return a share as a percentage without its sign, and that of the interval in parentheses."""
    if value is None:
        return UNKNOWN
    return f"{100 * value:.1f}" + (f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else "")


def count(value: int) -> str:
    """Return an integer with commas."""
    return f"{value:,}"
