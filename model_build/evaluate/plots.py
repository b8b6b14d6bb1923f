"""Judgements come in, three pictures come out: roc.png, reliability.png and scores.png, each with every model."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_curve

from model_build.errors import ModelBuildError
from model_build.evaluate.figures import bins

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.evaluate.judgement import Judgement

    Labels = npt.NDArray[np.int64]

# Okabe & Ito's colours, which the colour-blind tell apart; the baseline is grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BASELINE_COLOUR = "#7f7f7f"
HARMLESS_COLOUR, TOXIC_COLOUR = "#56B4E9", "#D55E00"
LOWEST_RATE = 1e-3  # where the axis of false positives begins
HISTOGRAM_BINS = 40
DPI = 130


def check_drawable() -> None:
    """Raises ModelBuildError if matplotlib is missing: better at the start than after minutes of scoring."""
    if find_spec("matplotlib") is None:
        raise ModelBuildError("the plots need matplotlib, which is not installed here: pip install matplotlib")


def draw(judgements: Sequence[Judgement], labels: Labels, folder: Path) -> None:
    """Write the pictures; the first of the judgements is the baseline."""
    _roc(judgements, labels).savefig(folder / "roc.png", dpi=DPI)
    _reliability(judgements, labels).savefig(folder / "reliability.png", dpi=DPI)
    _histograms(judgements, labels).savefig(folder / "scores.png", dpi=DPI)


def _roc(judgements: Sequence[Judgement], labels: Labels) -> Any:
    figure, (axes,) = _figure(1, (7.2, 5.0))
    for style, one in _styled(judgements):
        false, true, _ = roc_curve(labels, one.scores)
        # The first step may lie left of the axis: the curve enters at the height that it has there.
        height = float(true[false <= LOWEST_RATE].max())
        inside = false > LOWEST_RATE
        x, y = np.r_[LOWEST_RATE, false[inside]], np.r_[height, true[inside]]
        label = f"{one.contestant.name}: AUC {one.overall.auc:.3f}"
        axes.plot(x, y, drawstyle="steps-post", label=label, **style)
        called = (one.overall.false_positive_rate or 0.0, one.overall.sensitivity)
        if called[0] >= LOWEST_RATE:
            axes.plot(*called, "o", color=style["color"], markersize=7, markeredgecolor="white", zorder=5)
    chance = np.geomspace(LOWEST_RATE, 1, 200)
    axes.plot(chance, chance, color="#bbbbbb", linewidth=1, linestyle=":", label="by chance")
    axes.set_xscale("log")
    axes.set_xlim(LOWEST_RATE, 1)
    axes.set_ylim(0, 1.01)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_xlabel("harmless messages called toxic (logarithmic)")
    axes.set_ylabel("toxic messages found")
    axes.set_title("What is found, and at what price; the dot is the model's own threshold", fontsize=11, loc="left")
    axes.legend(frameon=False, loc="upper left")
    return figure


def _reliability(judgements: Sequence[Judgement], labels: Labels) -> Any:
    figure, (axes,) = _figure(1, (6.0, 5.4))
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, linestyle=":", label="a score that means what it says")
    for style, one in _styled(judgements):
        points = bins(labels, one.scores)
        label = f"{one.contestant.name}: error {one.overall.calibration_error:.3f}"
        axes.plot(
            [point.score for point in points],
            [point.toxic for point in points],
            marker="o",
            markersize=5,
            clip_on=False,
            zorder=3,
            label=label,
            **style,
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_xlabel("score of the message")
    axes.set_ylabel("share of messages with such a score that are toxic")
    axes.set_title("Does a score mean what it says?", fontsize=11, loc="left")
    axes.legend(frameon=False, loc="upper left")
    return figure


def _histograms(judgements: Sequence[Judgement], labels: Labels) -> Any:
    columns = min(2, len(judgements))
    rows = -(-len(judgements) // columns)
    figure, fields = _figure(columns * rows, (4.6 * columns, 2.6 * rows + 0.6), columns)
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    for axes, one in zip(fields, judgements, strict=False):
        for label, colour, name in ((0, HARMLESS_COLOUR, "harmless"), (1, TOXIC_COLOUR, "toxic")):
            here = one.scores[labels == label]
            weights = np.full(len(here), 1 / len(here))
            axes.hist(here, edges, weights=weights, color=colour, alpha=0.6, label=name)
        axes.axvline(one.contestant.threshold, color="#333333", linewidth=1, linestyle="--", label="threshold")
        axes.set_title(one.contestant.name, fontsize=11, loc="left")
        axes.set_xlim(0, 1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    for axes in fields[len(judgements) :]:
        axes.set_visible(False)
    fields[0].legend(frameon=False)
    figure.supxlabel("score", fontsize=10)
    figure.supylabel("share of the messages with that label", fontsize=10)
    return figure


def _figure(number: int, inches: tuple[float, float], columns: int = 1) -> tuple[Any, list[Any]]:
    # Not pyplot: a Figure of its own needs no display, and leaves no state behind.
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=inches, layout="constrained")
    fields = list(figure.subplots(number // columns, columns, squeeze=False, sharey=True).flat)
    for axes in fields:
        axes.grid(visible=True, color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure, fields


def _styled(judgements: Sequence[Judgement]) -> list[tuple[dict[str, Any], Judgement]]:
    models = [
        ({"color": COLOURS[index % len(COLOURS)], "linewidth": 2}, one) for index, one in enumerate(judgements[1:])
    ]
    return [({"color": BASELINE_COLOUR, "linewidth": 1.6, "linestyle": "--"}, judgements[0]), *models]
