"""The quality goals for the model, and their values for each evaluated model.

The goals cover messages written for this purpose, real chat, mentions of groups, swearing, the open collections and
changed spelling. A goal has no value if its messages were not passed to `evaluate`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from model_build.evaluate.evaluation_set import AS_WRITTEN, CHANGES
from model_build.metrics import auc, true_positive_rate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from model_build.evaluate.evaluation_set import EvaluationSet
    from model_build.evaluate.models import Model
    from model_build.metrics import Scores

WRITTEN, CHAT, GROUPS = "written", "ubuntu_irc", "identity"  # sources
MIN_MESSAGES_PER_KIND = 5  # kinds with fewer messages are ignored, because one message would decide
FAILURES = 10  # messages per label that the report quotes


@dataclass(frozen=True)
class Goal:
    """A metric and its bound: a lower bound if `at_least` is true, otherwise an upper bound."""

    name: str
    bound: float
    at_least: bool = True

    def met(self, value: float | None) -> bool:
        """Whether a value meets the goal. An unknown value does not."""
        return value is not None and (value >= self.bound if self.at_least else value <= self.bound)


GOALS = (
    Goal("written messages: AUC", 0.95),
    Goal("written messages: minimal pairs in the right order", 0.92),
    Goal("written messages: share found of the worst toxic kind, at “may be”", 0.8),
    Goal("written messages: share called likely of the worst harmless kind", 0.1, at_least=False),
    Goal("real chat: share of “likely” that is toxic", 0.6),
    Goal("real chat: share of toxic messages called likely", 0.5),
    Goal("real chat, unlabelled: share called likely", 0.003, at_least=False),
    Goal("real chat, unlabelled: share that “may be”", 0.015, at_least=False),
    Goal("mentions of groups: share called likely", 0.03, at_least=False),
    Goal("mentions of groups: share that “may be”", 0.1, at_least=False),
    Goal("mentions of groups: largest difference of two groups' mean scores", 0.1, at_least=False),
    Goal("with a swear word: AUC", 0.9),
    Goal("open collections: mean AUC", 0.88),
    Goal("open collections: AUC of gh_incivility", 0.87),
    Goal("open collections: AUC of cmu_oss", 0.856),
    Goal("open collections: found at 1 % false positives", 0.55),
    Goal("open collections: sources below the baseline by more than chance", 0, at_least=False),
    Goal("changed spelling: largest loss of sensitivity", 0.1, at_least=False),
    Goal("changed spelling: most added false positives", 0.03, at_least=False),
)


def values(
    model: Model, data: EvaluationSet, scores: Scores, chat: Scores, metrics: Mapping[str, Any]
) -> list[float | None]:
    """Return a model's value for each of GOALS, or None if the data lacks the messages for it.

    `scores` are the scores of `data`, `chat` the scores of its unlabelled messages, and `metrics` the model's entry in
    `report.json`.
    """
    found = [  # in the order of GOALS
        *_written(model, data, scores),
        *_chat(model, data, scores),
        *(_share(chat >= threshold) for threshold in (model.threshold, model.threshold_maybe)),
        *_groups(model, data, scores),
        metrics["slices"].get("swearing", {}).get("auc"),
        *_open(data, scores, metrics),
        *_spelling(metrics["slices"]),
    ]
    return [None if value is None else round(float(value), 6) + 0.0 for value in found]  # -0.0 + 0.0 is 0.0


def as_json(found: Mapping[str, Sequence[float | None]]) -> list[dict[str, Any]]:
    """Return the goals with each model's value and the models that meet them. `found` maps models to values."""
    return [
        asdict(goal)
        | {
            "values": dict(zip(found, reached, strict=True)),
            "met": [name for name, value in zip(found, reached, strict=True) if goal.met(value)],
        }
        for goal, reached in zip(GOALS, zip(*found.values(), strict=True), strict=True)
    ]


def written_messages(
    data: EvaluationSet, models: Sequence[Model], scores: Mapping[str, Scores]
) -> dict[str, Any] | None:
    """Return the kinds of written messages and the failures, worst first, or None if there are no such messages.

    The order is that of the first model after the baseline. Failures are the toxic messages that it scores lowest and
    the harmless messages that it scores highest. The report may quote them because they were written for the project.
    """
    if len(models) < 2 or not (data.sources == WRITTEN).any():
        return None
    ranking_model = models[1].name
    found: dict[str, Any] = {"model": ranking_model, "kinds": {}, "failures": {}}
    for label, meaning in enumerate(("harmless", "toxic")):
        sign = 1 if label else -1  # toxic messages fail with low scores, harmless ones with high scores
        by_model = {
            model.name: kinds(data, scores[model.name], model.threshold_maybe if label else model.threshold, label)
            for model in models
        }
        worst = sorted(by_model[ranking_model].items(), key=lambda kind: sign * kind[1][1])
        found["kinds"][meaning] = [
            {"kind": kind, "messages": number, "shares": {name: each[kind][1] for name, each in by_model.items()}}
            for kind, (number, _) in worst
        ]
        rows = np.flatnonzero((data.sources == WRITTEN) & (data.labels == label))
        rows = rows[np.argsort(sign * scores[ranking_model][rows], kind="stable")][:FAILURES]
        found["failures"][meaning] = [
            {"text": data.originals[row], "toxicity": round(float(scores[ranking_model][row]), 4)} for row in rows
        ]
    return found


def kinds(data: EvaluationSet, scores: Scores, threshold: float, label: int) -> dict[str, tuple[int, float]]:
    """For each kind of written message with this label, return the number and the share called toxic."""
    by_kind: dict[str, list[bool]] = {}
    for row in np.flatnonzero((data.sources == WRITTEN) & (data.labels == label)):
        by_kind.setdefault(str(data.details[row].get("kind", "")), []).append(bool(scores[row] >= threshold))
    return {kind: (len(called), round(float(np.mean(called)), 6)) for kind, called in sorted(by_kind.items())}


def _written(model: Model, data: EvaluationSet, scores: Scores) -> list[float | None]:
    here = data.sources == WRITTEN
    pairs: dict[str, dict[int, float]] = {}
    for row in np.flatnonzero(here):
        if pair := data.details[row].get("pair"):
            pairs.setdefault(str(pair), {})[int(data.labels[row])] = scores[row]
    found, alarms = (
        [share for number, share in kinds(data, scores, threshold, label).values() if number >= MIN_MESSAGES_PER_KIND]
        for threshold, label in ((model.threshold_maybe, 1), (model.threshold, 0))
    )
    return [
        auc(data.labels[here], scores[here]),
        _share(np.array([pair[1] > pair[0] for pair in pairs.values() if len(pair) == 2])),
        min(found, default=None),
        max(alarms, default=None),
    ]


def _chat(model: Model, data: EvaluationSet, scores: Scores) -> list[float | None]:
    here = data.sources == CHAT
    toxic, called = data.labels[here] == 1, scores[here] >= model.threshold
    return [_share(toxic[called]), _share(called[toxic])]


def _groups(model: Model, data: EvaluationSet, scores: Scores) -> list[float | None]:
    here = data.sources == GROUPS
    by_group: dict[str, list[float]] = {}
    for row in np.flatnonzero(here):
        if data.details[row].get("frame"):  # the same sentence with each group
            by_group.setdefault(str(data.details[row].get("group")), []).append(scores[row])
    means = [float(np.mean(of)) for of in by_group.values()]
    return [
        _share(scores[here] >= model.threshold),
        _share(scores[here] >= model.threshold_maybe),
        max(means) - min(means) if means else None,
    ]


def _open(data: EvaluationSet, scores: Scores, metrics: Mapping[str, Any]) -> list[float | None]:
    here = ~np.isin(data.sources, (WRITTEN, CHAT, GROUPS))
    if not here.any():
        return [None] * 5
    by_source = {str(name): metrics["sources"][name]["auc"] for name in np.unique(data.sources[here])}
    known = [value for value in by_source.values() if value is not None]
    return [
        float(np.mean(known)) if known else None,
        by_source.get("gh_incivility"),
        by_source.get("cmu_oss"),
        true_positive_rate(data.labels[here], scores[here], 0.01),
        len(by_source.keys() & set(metrics["far_below_baseline"])) if known else None,
    ]


def _spelling(slices: Mapping[str, Any]) -> list[float | None]:
    """Compare each slice of changed texts with the same texts unchanged."""
    before = slices[AS_WRITTEN]
    lost, added = (
        [sign * (slices[name][metric] - before[metric]) for name in CHANGES] if before[metric] is not None else []
        for metric, sign in (("sensitivity", -1), ("false_positive_rate", 1))
    )
    return [max(lost, default=None), max(added, default=None)]


def _share(of: npt.NDArray[np.bool_]) -> float | None:
    return float(of.mean()) if len(of) else None
