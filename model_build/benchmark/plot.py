"""Rows of medians come in, docs/benchmark.png comes out: a field for each length and number of threads."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from model_build.benchmark.report import OURS, thread_counts
from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_build.benchmark.rounds import Row

OURS_COLOUR, OTHER_COLOUR = "#c0392b", "#34495e"
FIELD_INCHES = (3.3, 2.9)
ROOM_FOR_NUMBERS = 1.4  # how far an axis goes beyond its fastest and its slowest runtime, as a factor


def check_drawable() -> None:
    """Raises ModelBuildError if matplotlib is missing: better at the start than after minutes of measuring."""
    if find_spec("matplotlib") is None:
        raise ModelBuildError("the plot needs matplotlib, which is not installed here: `make benchmark` installs it")


def draw(rows: Sequence[Row], machine: str, path: Path) -> None:
    """Write the picture."""
    from matplotlib.figure import Figure

    threads = thread_counts(rows)
    lengths = list(dict.fromkeys(row.tokens for row in rows))
    size = (FIELD_INCHES[0] * len(lengths) + 1.2, FIELD_INCHES[1] * len(threads) + 0.9)
    figure: Any = Figure(figsize=size, layout="constrained")
    fields = figure.subplots(len(threads), len(lengths), squeeze=False, sharey=True)
    for line, count in zip(fields, threads, strict=True):
        for field, tokens in zip(line, lengths, strict=True):
            here = [row for row in rows if row.threads == count and row.tokens == tokens]
            _draw_field(field, here)
            field.set_title(f"{tokens} tokens, {count} thread{'s' if count > 1 else ''}", fontsize=10)
    figure.supxlabel("milliseconds a text, logarithmic: the dot is the median, the line ends at the 95th percentile")
    figure.suptitle(machine.split(" (", maxsplit=1)[0], fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw_field(field: Any, rows: Sequence[Row]) -> None:
    for height, row in enumerate(rows):
        colour = OURS_COLOUR if row.runtime == OURS else OTHER_COLOUR
        weight = "bold" if row.runtime == OURS else "normal"
        end = max(row.p95_ms, row.median_ms)
        field.plot([row.median_ms, end], [height, height], color=colour, linewidth=1.5)
        field.plot(row.median_ms, height, "o", color=colour, markersize=6)
        field.annotate(
            f"{row.median_ms:.1f}",
            (row.median_ms, height),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            color=colour,
            fontsize=9,
            weight=weight,
        )
    field.set_xscale("log")
    field.set_xlim(
        min(row.median_ms for row in rows) / ROOM_FOR_NUMBERS,
        max(max(row.p95_ms, row.median_ms) for row in rows) * ROOM_FOR_NUMBERS,
    )
    field.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    field.xaxis.set_minor_formatter(lambda *_: "")  # the numbers stand at the dots
    field.set_yticks(range(len(rows)), [row.runtime for row in rows])
    field.set_ylim(len(rows) - 0.4, -0.8)
    field.grid(visible=True, axis="x", which="both", color="#dddddd", linewidth=0.6)
    field.set_axisbelow(True)
    for side in ("top", "right", "left"):
        field.spines[side].set_visible(False)
    field.tick_params(axis="y", length=0)
