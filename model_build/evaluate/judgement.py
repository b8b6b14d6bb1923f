"""One model's scores of a selection and of its slices come in, all figures of that model come out.

`Judgement.as_json` is what `report.json` has under `models` and what `record` copies into `model.json`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from model_build.evaluate.figures import Figures, bins, mean, measure

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from model_build.evaluate.contestants import Contestant
    from model_build.evaluate.intervals import Interval, Intervals
    from model_build.evaluate.selection import Selection
    from model_build.evaluate.slices import Slice

    Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """A model, and how good it is: over all rows, by source, by slice."""

    contestant: Contestant
    milliseconds: float
    """Median time of one text alone."""
    scores: Scores = field(repr=False)
    overall: Figures
    mean: Figures
    """Of every figure, the mean over the sources that have it."""
    sources: dict[str, Figures]
    slices: dict[str, Figures]
    intervals: Intervals

    def below(self, baseline: Judgement) -> list[str]:
        """Return the sources on which the baseline's AUC is as high or higher."""
        return [
            name
            for name, found in self.sources.items()
            if found.auc is not None and (other := baseline.sources[name].auc) is not None and found.auc <= other
        ]

    def as_json(self, labels: npt.NDArray[np.int64], baseline: Judgement) -> dict[str, Any]:
        """Return every figure, with intervals as pairs.

        `kind, checksum, bytes, threshold, milliseconds`: the model. `all`, `mean`: figures as in `figures.Figures`,
        `all` with `auc_interval` and `tpr_at_1_percent_interval`, `mean` with `auc_interval` and
        `auc_above_baseline_interval`. `mean_source_auc`: the figure to compare models by, `mean.auc` again.
        `sources`: by name, figures and `auc_interval`; `slices`: by name, figures. `below_baseline`: names of sources.
        `reliability`: bins with `rows, score, toxic`.
        """
        ends = self.intervals
        overall = {
            "auc_interval": _rounded(ends.auc),
            "tpr_at_1_percent_interval": _rounded(ends.tpr_at_1_percent),
        }
        average = {
            "auc_interval": _rounded(ends.mean_source_auc),
            "auc_above_baseline_interval": _rounded(ends.mean_source_auc_above_baseline),
        }
        return {
            "kind": self.contestant.kind,
            "checksum": self.contestant.checksum,
            "bytes": self.contestant.bytes,
            "threshold": self.contestant.threshold,
            "milliseconds": round(self.milliseconds, 2),
            "mean_source_auc": self.mean.as_json()["auc"],
            "all": self.overall.as_json() | overall,
            "mean": self.mean.as_json() | average,
            "sources": {
                name: found.as_json() | {"auc_interval": _rounded(ends.source_auc[name])}
                for name, found in self.sources.items()
            },
            "slices": {name: found.as_json() for name, found in self.slices.items()},
            "below_baseline": [] if self is baseline else self.below(baseline),
            "reliability": [asdict(one) for one in bins(labels, self.scores)],
        }


def judge(
    contestant: Contestant,
    milliseconds: float,
    selection: Selection,
    scores: Scores,
    parts: Mapping[str, tuple[Slice, Scores]],
    intervals: Intervals,
) -> Judgement:
    """Return all figures at the model's own threshold; `parts` holds each slice with the scores of its texts."""
    threshold = contestant.threshold
    sources = {
        name: measure(selection.labels[here], scores[here], threshold)
        for name in selection.source_names()
        for here in [selection.sources == name]
    }
    return Judgement(
        contestant=contestant,
        milliseconds=milliseconds,
        scores=scores,
        overall=measure(selection.labels, scores, threshold),
        mean=mean(sources.values()),
        sources=sources,
        slices={name: measure(selection.labels[part.rows], found, threshold) for name, (part, found) in parts.items()},
        intervals=intervals,
    )


def _rounded(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(end, 6) for end in interval]
