"""A comparison comes in, docs/training-options.json for programs and the tables in docs/training.md for people come
out.

The page is written by hand but for a block between two marks, which is replaced.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FIGURES, PAGE = "training-options.json", "training.md"
BEGIN, END = "<!-- options: begin -->", "<!-- options: end -->"
COLUMNS = {
    "mean_source_auc": "mean AUC of sources",
    "auc": "AUC",
    "tpr_at_fpr_1e-2": "found at 1 % false alarms",
    "tpr_at_fpr_1e-3": "at 0.1 %",
}


def write(found: Mapping[str, Any], folder: Path) -> None:
    """Write both; raises ModelBuildError if there is a page that lacks the marks."""
    page = folder / PAGE
    text = page.read_text(encoding="utf-8") if page.is_file() else f"# Training\n\n{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ModelBuildError(f"{page} lacks the lines {BEGIN} and {END}, between which the tables belong")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    page.write_text(f"{before}{begin}\n{tables(found)}\n{end}{after}", encoding="utf-8")


def tables(found: Mapping[str, Any]) -> str:
    """Return what stands between the marks."""
    layers, names = found["layers"], " | ".join(COLUMNS.values())
    text = (
        f"Measured by `{found['command']}` on {found['date']}: a teacher of {layers['teacher']} layers, students of "
        f"{len(layers['student'])}, {found['steps']} steps of {found['batch']} texts each, {found['dev_rows']:,} rows "
        f"of split dev, {_seeds(found['seeds'])}. "
        f"[`{FIGURES}`]({FIGURES}) has every value.\n\n"
        f"| what | option | {names} |\n| --- | --- |{' --- |' * len(COLUMNS)}\n"
    )
    for row in found["rows"]:
        cells = [_with_spread([value[column] for value in row["values"]]) for column in COLUMNS]
        text += f"| {row['group']} | {row['name']} | {' | '.join(cells)} |\n"
    return text + (_serving(found["serving"], names) if found["serving"] else "")


def _serving(rows: Sequence[Mapping[str, Any]], names: str) -> str:
    text = (
        "\nWhat distilling and quantizing are worth in service, one text at a time on a CPU:\n\n"
        f"| distilled, quantized | {names} | MB | ms |\n| --- |{' --- |' * (len(COLUMNS) + 2)}\n"
    )
    for row in rows:
        if "refused" in row:
            text += f"| {row['name']}: the build refused it |{' |' * (len(COLUMNS) + 2)}\n"
            continue
        cells = [f"{row[column]:.4f}" for column in COLUMNS]
        text += f"| {row['name']} | {' | '.join(cells)} | {row['megabytes']:.1f} | {row['milliseconds']:.1f} |\n"
    return text


def _with_spread(values: Sequence[float]) -> str:
    spread = f" ± {(max(values) - min(values)) / 2:.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def _seeds(number: int) -> str:
    if number == 1:
        return "one seed"
    return f"{number} seeds; ± is half the distance between the best and the worst of them"
