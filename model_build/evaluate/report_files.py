"""Write the files of a report: report.json, report.md and three plots, and copy its metrics into `model.json`.

report.md is rendered from report.json with the template `report.md.j2`. The plots need the individual scores. The files
quote no messages except failures of the source `written`, which were written for the project.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import roc_curve

from model_build import manifest, model_card
from model_build.errors import ModelBuildError
from model_build.evaluate.models import served_checksum
from toxicity_bot.model_directory import ModelDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_build.evaluate.evaluation import Evaluation

JSON_NAME, PAGE_NAME = "report.json", "report.md"
PAGE_TEMPLATE = Path(__file__).with_name("report.md.j2")
GOALS_TEMPLATE = Path(__file__).with_name("goals.md.j2")
PLOT_STYLE = Path(__file__).with_name("plots.mplstyle")
# Okabe & Ito's palette, which is safe for colour-blind readers. The baseline is grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BASELINE_COLOUR = "#7f7f7f"
HARMLESS_COLOUR, TOXIC_COLOUR = "#56B4E9", "#D55E00"
MIN_RATE = 1e-3  # start of the false-positive axis
HISTOGRAM_BINS = 40
DPI = 130
WHOLE_PERCENT = PercentFormatter(1, decimals=0, symbol=" %")
REFERENCE_LINE: dict[str, Any] = {"color": "#bbbbbb", "linewidth": 1, "linestyle": ":"}


def write(evaluation: Evaluation, folder: Path) -> None:
    """Write report.json, report.md and the plots, and print the goals."""
    manifest.write_text(folder / JSON_NAME, json.dumps(evaluation.report, indent=1) + "\n")
    write_page(folder)
    with matplotlib.rc_context(fname=PLOT_STYLE):
        for name, plot in (("roc.png", _roc), ("reliability.png", _reliability), ("scores.png", _histograms)):
            plot(evaluation).savefig(folder / name, dpi=DPI)
    print(model_card.render(GOALS_TEMPLATE, evaluation.report), end="")
    print(f"evaluate: wrote {folder / PAGE_NAME}, {JSON_NAME} and three plots", flush=True)


def write_page(folder: Path) -> None:
    """Render report.md from the report.json beside it."""
    manifest.write_text(folder / PAGE_NAME, model_card.render(PAGE_TEMPLATE, read(folder)))


def read(folder: Path) -> dict[str, Any]:
    """Read report.json. Raises ModelBuildError if there is none."""
    return manifest.read_json(folder / JSON_NAME, "pass models and --data to evaluate them first")


def record(model: Path, name: str, report_folder: Path) -> None:
    """Copy a model's metrics from the report into its `model.json` and card.

    `measured.evaluation` gets the report's `date`, `machine`, `command`, `data` and `slices`. Its `model` and
    `baseline` are the entries of these two models without `reliability`, and its `goals` holds their goal values.
    `measured.written` gets the kinds of written messages and the failures, if the report has them for this model.
    Raises ModelBuildError if `model` is not a complete model directory or has changed since it was evaluated.
    """
    fields, now = manifest.read(model), ModelDirectory.read(model)
    report, path = read(report_folder), report_folder / JSON_NAME
    if name not in report["models"]:
        raise ModelBuildError(f"{path} has no model {name}, only {', '.join(report['models'])}: pass one of these")
    evaluated = report["models"][name]
    found = {"checksum": served_checksum(now), "threshold": now.threshold, "threshold_maybe": now.threshold_maybe}
    if changed := [key for key, value in found.items() if evaluated[key] != value]:
        raise ModelBuildError(
            f"{name} in {path} has another {' and another '.join(changed)} than {model} now: evaluate it again"
        )
    evaluation = {key: report[key] for key in ("date", "machine", "command", "data", "slices")}
    for key, recorded in (("baseline", report["models"][report["baseline"]]), ("model", evaluated)):
        evaluation[key] = {field: value for field, value in recorded.items() if field != "reliability"}
    evaluation["goals"] = [
        {key: goal[key] for key in ("name", "bound", "at_least")}
        | {"met": name in goal["met"], "model": goal["values"][name], "baseline": goal["values"][report["baseline"]]}
        for goal in report.get("goals", [])
    ]
    fields["measured"]["evaluation"] = evaluation
    written = report.get("written")
    fields["measured"]["written"] = written if written and written["model"] == name else None
    model_card.write(model, fields)
    print(f"evaluate: copied the metrics of {path} into {model / manifest.FILE_NAME} and the model card", flush=True)


def _roc(evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(7.2, 5.0))
    axes = figure.subplots()
    for name, model, style in _styled(evaluation):
        false, true, _ = roc_curve(evaluation.labels, evaluation.scores[name])
        axes.plot(false, true, drawstyle="steps-post", label=f"{name}: AUC {model['all']['auc']:.3f}", **style)
        if (rate := model["all"]["false_positive_rate"]) >= MIN_RATE:
            dot = {"color": style["color"], "markersize": 7, "markeredgecolor": "white", "zorder": 5}
            axes.plot(rate, model["all"]["sensitivity"], "o", **dot)
    chance = np.geomspace(MIN_RATE, 1, 200)
    axes.plot(chance, chance, label="chance", **REFERENCE_LINE)
    axes.set(xscale="log", xlim=(MIN_RATE, 1), ylim=(0, 1.01))
    axes.set(xlabel="false-positive rate (logarithmic)", ylabel="true-positive rate")
    axes.set_title("ROC curves; the dot is the model's own threshold")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.yaxis.set_major_formatter(WHOLE_PERCENT)
    axes.legend(loc="upper left")
    return figure


def _reliability(evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(6.0, 5.4))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="perfect calibration", **REFERENCE_LINE)
    for name, model, style in _styled(evaluation):
        scores, shares = zip(*((part["score"], part["toxic"]) for part in model["reliability"]), strict=True)
        label = f"{name}: calibration error {model['all']['calibration_error']:.3f}"
        axes.plot(scores, shares, marker="o", markersize=5, clip_on=False, zorder=3, label=label, **style)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="score", ylabel="share of toxic messages among those with this score", title="Calibration")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(WHOLE_PERCENT)
    axes.legend(loc="upper left")
    return figure


def _histograms(evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(7.2, 2.2 * len(evaluation.scores) + 0.6))
    panels = figure.subplots(len(evaluation.scores), squeeze=False, sharex=True, sharey=True)[:, 0]
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    for axes, (name, scores) in zip(panels, evaluation.scores.items(), strict=True):
        for label, colour, meaning in ((0, HARMLESS_COLOUR, "harmless"), (1, TOXIC_COLOUR, "toxic")):
            here = scores[evaluation.labels == label]
            axes.hist(here, edges, weights=np.full(len(here), 1 / len(here)), color=colour, alpha=0.6, label=meaning)
        threshold = evaluation.report["models"][name]["threshold"]
        axes.axvline(threshold, color="#333333", linewidth=1, linestyle="--", label="threshold")
        axes.set(title=name, xlim=(0, 1))
        axes.yaxis.set_major_formatter(WHOLE_PERCENT)
    panels[0].legend()
    figure.supxlabel("score", fontsize=10)
    figure.supylabel("share of the messages with this label", fontsize=10)
    return figure


def _styled(evaluation: Evaluation) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield each model's name, its entry in the report, and its line style."""
    colours = itertools.cycle(COLOURS)
    for name, model in evaluation.report["models"].items():
        if name == evaluation.report["baseline"]:
            yield name, model, {"color": BASELINE_COLOUR, "linewidth": 1.6, "linestyle": "--"}
        else:
            yield name, model, {"color": next(colours), "linewidth": 2}
