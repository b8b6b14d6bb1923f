"""A model directory and labelled texts come in; a temperature and two thresholds are written into its `model.json`.

The temperature divides the logits so that a score of 0.8 means 80 in 100: one number that minimises the negative
log-likelihood (Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2). It changes no ranking of two
labels. The texts must be neither trained on nor reported.
"""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar

from model_build import manifest, model_card
from model_build.errors import ModelBuildError
from model_build.evaluate.contestants import bots_classifier
from model_build.evaluate.figures import calibration_error, measure
from toxicity_bot.model_session import activate

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from model_build.evaluate.selection import Selection

    Floats = npt.NDArray[np.float64]

TEMPERATURES = (0.05, 20.0)  # no sensible classifier lies outside
MAYBE_RATE = 5  # times the rate of the upper threshold
SHOWN_EVERY = 1000  # texts
NEVER_ZERO = 1e-12  # a probability in a logarithm
ROUNDING_ERROR = 1e-9  # 0.29 * 100 is less than 29


@dataclass(frozen=True)
class Logits:
    """A row for each text and a column for each label, and what turns them into toxicities."""

    values: Floats
    toxic: npt.NDArray[np.bool_]
    activation: str

    def toxicities(self, temperature: float) -> Floats:
        """Return what the bot's classifier gives at this temperature."""
        toxic = activate(self.values / temperature, self.activation)[:, self.toxic]
        return np.asarray(toxic.sum(axis=1) if self.activation == "softmax" else toxic.max(axis=1))


def calibrate(
    folder: Path, selection: Selection, work_sources: Sequence[str], false_positive_rate: float, threads: int
) -> None:
    """Rewrite `model.json` and the card in place; on an error they stay as they are.

    `threshold` is the lowest one at which at most `false_positive_rate` of the harmless texts of the work-like sources,
    counted together, are called toxic: together, since a small source's rate alone rests on too few texts.
    `threshold_maybe` is the same for five times that rate: what the lower band costs is harmless messages too, so both
    are read on one scale, whatever share of the data is toxic.
    """
    fields = manifest.read(folder)
    harmless = np.isin(selection.sources, work_sources) & (selection.labels == 0)
    if (count := int(harmless.sum())) * false_positive_rate < 1:
        raise ModelBuildError(
            f"{selection.file}, split {selection.split}, has {count} harmless texts of {', '.join(work_sources)}: "
            f"too few for a false-positive rate of {false_positive_rate:g}; name other --work-sources or a higher rate"
        )
    logits = _logits(folder, fields, selection.texts, threads)
    before = logits.toxicities(float(fields["temperature"]))
    temperature = _temperature(logits, selection.labels)
    after = logits.toxicities(temperature)
    threshold = _threshold(after[harmless], false_positive_rate)
    maybe = min(threshold, _threshold(after[harmless], min(MAYBE_RATE * false_positive_rate, 0.5)))
    at_work = np.isin(selection.sources, work_sources)
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "data": {"file": selection.file, "sha256": selection.sha256, "split": selection.split},
        "rows": len(selection.texts),
        "sources": selection.source_names(),
        "work_sources": sorted(set(work_sources) & set(selection.source_names())),
        "temperature": temperature,
        "negative_log_likelihood": [_nll(selection.labels, before), _nll(selection.labels, after)],
        "calibration_error": [calibration_error(selection.labels, scores) for scores in (before, after)],
        "threshold": _rates(selection.labels, after, at_work, threshold),
        "threshold_maybe": _rates(selection.labels, after, at_work, maybe),
    }
    fields |= {"temperature": temperature, "threshold": threshold, "threshold_maybe": maybe}
    fields["measured"]["calibration"] = _rounded(found)
    for outdated in ("evaluation", "examples", "quality"):
        fields["measured"].pop(outdated, None)
    _write(folder, fields, threads)
    print(
        f"calibrate: temperature {temperature:g}, threshold {threshold:g}, threshold_maybe {maybe:g}; "
        f"calibration error {found['calibration_error'][0]:.4f} before, {found['calibration_error'][1]:.4f} after",
        flush=True,
    )


def _logits(folder: Path, fields: dict[str, Any], texts: Sequence[str], threads: int) -> Logits:
    """Undo activation and temperature of the served scores; softmax leaves a constant a row undetermined."""
    classifier = bots_classifier(folder, threads)
    rows = []
    for number, text in enumerate(texts, start=1):
        rows.append(list(classifier.scores(text).values()))
        if number % SHOWN_EVERY == 0:
            print(f"calibrate: {number:,} of {len(texts):,} texts", flush=True)
    probabilities = np.clip(np.array(rows), NEVER_ZERO, None)
    logits = np.log(probabilities)
    if fields["activation"] == "sigmoid":
        logits -= np.log(np.clip(1 - probabilities, NEVER_ZERO, None))
    toxic = np.array([label in fields["toxic_labels"] for label in fields["labels"]])
    return Logits(logits * float(fields["temperature"]), toxic, fields["activation"])


def _temperature(logits: Logits, labels: npt.NDArray[np.int64]) -> float:
    low, high = (math.log(bound) for bound in TEMPERATURES)
    found = minimize_scalar(
        lambda log: _nll(labels, logits.toxicities(math.exp(log))), bounds=(low, high), method="bounded"
    )
    temperature = math.exp(float(found.x))
    if min(temperature / TEMPERATURES[0], TEMPERATURES[1] / temperature) < 1.01:
        raise ModelBuildError(
            f"no temperature between {TEMPERATURES[0]} and {TEMPERATURES[1]} fits: the scores are not those of a model "
            "that was trained for these labels, or it makes no error on these texts; pass others with --data"
        )
    return round(temperature, 4)


def _threshold(harmless: Floats, rate: float) -> float:
    """Return the lowest number of whole percents that at most this share of the scores reaches: verdicts name it."""
    highest_below = float(np.sort(harmless)[::-1][int(rate * len(harmless))])
    return min(math.floor(highest_below * 100 + ROUNDING_ERROR) + 1, 100) / 100


def _rates(labels: npt.NDArray[np.int64], scores: Floats, at_work: npt.NDArray[np.bool_], threshold: float) -> Any:
    everywhere, work = measure(labels, scores, threshold), measure(labels[at_work], scores[at_work], threshold)
    return {
        "value": threshold,
        "all": {"sensitivity": everywhere.sensitivity, "false_positive_rate": everywhere.false_positive_rate},
        "work": {"sensitivity": work.sensitivity, "false_positive_rate": work.false_positive_rate},
    }


def _nll(labels: npt.NDArray[np.int64], toxicities: Floats) -> float:
    right = np.where(labels == 1, toxicities, 1 - toxicities)
    return float(-np.log(np.clip(right, NEVER_ZERO, None)).mean())


def _write(folder: Path, fields: dict[str, Any], threads: int) -> None:
    """Score the reference texts anew beside the directory, as the bot will; only then replace what is served."""
    reference = fields["reference"]
    tolerance, texts = reference["tolerance"], [score["text"] for score in reference["scores"]]
    with tempfile.TemporaryDirectory(prefix="calibrate-") as name:
        beside = Path(name)
        for file in fields["files"]:
            (beside / file).symlink_to((folder / file).resolve())
        # The recorded scores are those of the former temperature: until they are replaced, any passes the self-test.
        reference["tolerance"] = 1.0
        manifest.write(beside, fields)
        classifier = bots_classifier(beside, threads)
        reference["scores"] = manifest.reference_scores({text: classifier.toxicity(text) for text in texts})
        reference["tolerance"] = tolerance
        manifest.write(beside, fields)
        bots_classifier(beside, threads)  # self-test included
    manifest.write(folder, fields)
    model_card.write(folder)


def _rounded(value: Any) -> Any:
    """Six digits are more than the texts can tell."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 6) if isinstance(value, float) else value
