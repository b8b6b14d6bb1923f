"""A selection and contestants come in; docs/evaluation/report.{md,json} and three plots come out.

The page and the plots are drawn from the same judgements as the JSON; no message stands in any of them.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from model_build.benchmark import machine
from model_build.evaluate import baseline, kept_scores, plots
from model_build.evaluate.contestants import Contestant
from model_build.evaluate.intervals import CONFIDENCE, bootstrap
from model_build.evaluate.judgement import Judgement, judge
from model_build.evaluate.page import page
from model_build.evaluate.slices import Slice, slices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.evaluate.selection import Selection

VERSIONS = ("numpy", "onnxruntime", "scikit-learn", "tokenizers", "torch", "transformers")
TIMED = 100  # texts, spread evenly over those that are scored


@dataclass(frozen=True)
class Report:
    """All that was measured, and what it was measured with; the baseline is the first of the judgements."""

    date: str
    machine: str
    load: float
    """Average of the minute before, 1.0 being one busy core."""
    threads: int
    versions: dict[str, str]
    command: str
    timed: int
    """Texts of which the time was taken."""
    draws: int
    seed: int
    selection: Selection
    slices: list[Slice]
    judgements: list[Judgement]

    @property
    def baseline(self) -> Judgement:
        """What every model has to beat."""
        return self.judgements[0]

    def as_json(self) -> dict[str, Any]:
        """Return everything but the scores; `models` as `Judgement.as_json` describes it, by name."""
        return {
            "date": self.date,
            "machine": self.machine,
            "load": self.load,
            "threads": self.threads,
            "command": self.command,
            "versions": self.versions,
            "data": self.selection.as_json(),
            "bootstrap": {"draws": self.draws, "seed": self.seed, "confidence": CONFIDENCE},
            "slices": {
                part.name: {
                    "rule": part.rule,
                    "rows": len(part.rows),
                    "toxic": int(self.selection.labels[part.rows].sum()),
                }
                for part in self.slices
            },
            "baseline": self.baseline.contestant.name,
            "models": {
                one.contestant.name: one.as_json(self.selection.labels, self.baseline) for one in self.judgements
            },
        }

    def write(self, folder: Path) -> None:
        """Write the page, the JSON and the plots."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(page(self), encoding="utf-8")
        plots.draw(self.judgements, self.selection.labels, folder)


def measured(
    selection: Selection,
    baseline_model: baseline.Baseline,
    contestants: Sequence[Contestant],
    cache: Path,
    draws: int,
    seed: int,
    threads: int,
    load: float,
) -> Report:
    """Score whatever was not scored before, and return the report; `load` is the machine's when all this began."""
    parts = slices(selection, seed)
    first = Contestant(
        name=baseline.NAME,
        kind="character and word n-grams, a linear classifier",
        checksum=baseline_model.checksum,
        bytes=baseline_model.bytes,
        threshold=baseline_model.threshold,
        load=lambda: baseline_model,
    )
    field = [first, *contestants]
    # Together, so that what is spelt alike in a slice is scored once.
    texts = list(dict.fromkeys([*selection.texts, *(text for part in parts for text in part.texts)]))
    known = {one.name: dict(zip(texts, kept_scores.scores(one, texts, cache), strict=True)) for one in field}
    scores = {name: _of(selection.texts, found) for name, found in known.items()}
    places = np.linspace(0, len(selection.texts) - 1, min(TIMED, len(selection.texts))).astype(int)
    timed = [selection.texts[place] for place in places]
    times = {one.name: kept_scores.milliseconds(one.load(), timed) for one in field}
    print(f"evaluate: drawing the {len(selection.texts):,} rows {draws:,} times ...", flush=True)
    intervals = bootstrap(selection.labels, selection.sources, scores, draws, seed)
    return Report(
        date=time.strftime("%Y-%m-%d"),
        machine=machine.describe(),
        load=round(load, 2),
        threads=threads,
        versions={name: version(name) for name in VERSIONS},
        timed=len(timed),
        command=" ".join(["python -m model_build.evaluate", *map(_without_folders, sys.argv[1:])]),
        draws=draws,
        seed=seed,
        selection=selection,
        slices=parts,
        judgements=[
            judge(
                one,
                times[one.name],
                selection,
                scores[one.name],
                {part.name: (part, _of(part.texts, known[one.name])) for part in parts},
                intervals[one.name],
            )
            for one in field
        ],
    )


def _without_folders(argument: str) -> str:
    """Where a machine keeps its files is nobody else's business: of an absolute path the last part is told."""
    return re.sub(r"(^|=)/(?:[^/]+/)*([^/]+)/?$", r"\1\2", argument)


def _of(texts: Sequence[str], known: Mapping[str, float]) -> npt.NDArray[np.float64]:
    return np.array([known[text] for text in texts])
