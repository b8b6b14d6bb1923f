"""Calibrate a model directory: write a temperature and two thresholds into its `model.json`.

The temperature divides the logits so that 80 % of the messages that score 0.8 are toxic. It is the one number that
minimises the negative log-likelihood (Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2), and it
changes no ranking of two texts. It is fitted on chat and what resembles chat. The texts must be used neither for
training nor for a report.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from model_build import manifest, model_card
from model_build.errors import ModelBuildError
from model_build.evaluate.models import progress_bar
from model_build.metrics import calibration_error, measure
from model_build.verify import score_references
from toxicity_bot.classifier import Classifier
from toxicity_bot.model_session import activate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from model_build.evaluate.evaluation_set import EvaluationSet
    from model_build.metrics import Labels, Scores

TEMPERATURES = (0.05, 20.0)  # no sensible classifier needs others
FEWEST_LIKELY = 10  # labelled messages of the chat above a threshold, to say how many of them are toxic
MAYBE_PRECISION = 1 / 6
MAYBE_RATE = 5  # times the false-positive rate of `threshold`
NEVER_ZERO = 1e-12  # a probability whose logarithm is taken
ROUNDING_ERROR = 1e-9  # 0.29 * 100 is less than 29
OUTDATED = ("evaluation", "written", "quality")  # measured before the scores changed


def calibrate(
    folder: Path,
    data: EvaluationSet,
    work_sources: Sequence[str],
    false_positive_rate: float,
    threads: int,
    chat_rate: float,
    likely_precision: float,
) -> None:
    """Rewrite `model.json` and the card in place; after an error they are unchanged.

    The temperature is fitted on the work sources, which are pooled, since a small one has too few texts. `threshold` is
    the lowest that at most `chat_rate` of the unlabelled chat reaches or, without chat, at most `false_positive_rate`
    of the work sources' harmless texts. Collections are chosen to be hard, so that only chat tells how many alarms a
    workplace gets. `threshold_maybe` is the same for five times that rate: its cost is false positives too, so one
    scale serves both, whatever share of the data is toxic. Where messages of the chat are labelled, `threshold` is
    raised until at least `likely_precision` of those that reach it are toxic, which is what "likely" promises, and
    `threshold_maybe` until one in six is.
    """
    fields = manifest.read(folder)
    at_work = np.isin(data.sources, work_sources)
    harmless = at_work & (data.labels == 0)
    count, toxic = int(harmless.sum()), int(data.labels[at_work].sum())
    if count * false_positive_rate < 1 or not toxic:
        raise ModelBuildError(
            f"{data.file}, split {data.split}, has {count} harmless and {toxic} toxic texts from "
            f"{', '.join(work_sources)}: too few for a temperature and a false-positive rate of "
            f"{false_positive_rate:g}; name other --work-sources or a higher rate"
        )
    everything = _logits(folder, fields, [*data.texts, *data.chat], threads)
    logits, chat = np.split(everything, [len(data.texts)])
    before = _toxicities(logits, fields, float(fields["temperature"]))
    work = data.labels[at_work]
    temperature = _temperature(logits[at_work], fields, work)
    after = _toxicities(logits, fields, temperature)
    mostly_harmless, rate = after[harmless], false_positive_rate
    if data.chat:
        mostly_harmless, rate = _toxicities(chat, fields, temperature), chat_rate
    said = np.array(["chosen" in detail for detail in data.details])
    promised = partial(_promised, after[said], data.labels[said])
    rare, less_rare = (_threshold(mostly_harmless, one) for one in (rate, min(MAYBE_RATE * rate, 0.5)))
    threshold = max(rare, promised(likely_precision))
    maybe = min(threshold, max(less_rare, promised(MAYBE_PRECISION)))
    errors = [calibration_error(work, scores[at_work]) for scores in (before, after)]
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "data": {"file": data.file, "sha256": data.sha256, "split": data.split},
        "rows": len(data.texts),
        "work_rows": len(work),
        "sources": data.source_names(),
        "work_sources": sorted(set(work_sources) & set(data.source_names())),
        "chat": {"messages": len(data.chat), "rate": chat_rate} if data.chat else None,
        "promise": {"messages": int(said.sum()), "precision": likely_precision} if threshold > rare else None,
        "temperature": temperature,
        "negative_log_likelihood": [log_loss(work, scores[at_work]) for scores in (before, after)],
        "calibration_error": errors,
        "threshold": _rates(data.labels, after, at_work, threshold),
        "threshold_maybe": _rates(data.labels, after, at_work, maybe),
    }
    fields |= {"temperature": temperature, "threshold": threshold, "threshold_maybe": maybe}
    kept = {name: value for name, value in fields["measured"].items() if name not in OUTDATED}
    # Six digits are more than so few texts can determine.
    rounded = json.loads(json.dumps(found), parse_float=lambda number: round(float(number), 6))
    fields["measured"] = kept | {"calibration": rounded}
    _write(folder, fields, threads)
    print(
        f"calibrate: temperature {temperature:g}, threshold {threshold:g}, threshold_maybe {maybe:g}; calibration "
        f"error {errors[0]:.4f} before, {errors[1]:.4f} after",
        flush=True,
    )


def _logits(folder: Path, fields: dict[str, Any], texts: Sequence[str], threads: int) -> npt.NDArray[np.float64]:
    """Return (texts, labels): the served scores without activation and temperature, up to a constant for each text."""
    classifier = Classifier(folder, threads)
    rows = [list(classifier.scores(text).values()) for text in progress_bar(texts, desc="calibrate", unit="text")]
    probabilities = np.clip(np.array(rows), NEVER_ZERO, None)
    logits = np.log(probabilities)
    if fields["activation"] == "sigmoid":
        logits -= np.log(np.clip(1 - probabilities, NEVER_ZERO, None))
    return np.asarray(logits * float(fields["temperature"]))


def _toxicities(logits: npt.NDArray[np.float64], fields: Mapping[str, Any], temperature: float) -> Scores:
    """Return the scores, (texts,), that the bot's classifier gives at this temperature."""
    toxic = np.array([label in fields["toxic_labels"] for label in fields["labels"]])
    each = activate(logits / temperature, fields["activation"])[:, toxic]
    found = each.sum(axis=1) if fields["activation"] == "softmax" else each.max(axis=1)
    return np.asarray(np.minimum(found, 1.0))  # rounding can make a sum exceed 1


def _temperature(logits: npt.NDArray[np.float64], fields: Mapping[str, Any], labels: Labels) -> float:
    low, high = (math.log(bound) for bound in TEMPERATURES)
    found = minimize_scalar(
        lambda log: log_loss(labels, _toxicities(logits, fields, math.exp(log))), bounds=(low, high), method="bounded"
    )
    temperature = math.exp(float(found.x))
    if min(temperature / TEMPERATURES[0], TEMPERATURES[1] / temperature) < 1.01:
        raise ModelBuildError(
            f"no temperature between {TEMPERATURES[0]} and {TEMPERATURES[1]} fits: either the model was not trained "
            "for these labels, or it makes no error on these texts; pass others with --data"
        )
    return round(temperature, 4)


def _threshold(harmless: Scores, rate: float) -> float:
    """Return the lowest threshold that at most this share of scores reaches, in whole percent as verdicts show it."""
    highest_below = float(np.sort(harmless)[::-1][int(rate * len(harmless))])
    return min(math.floor(highest_below * 100 + ROUNDING_ERROR) + 1, 100) / 100


def _promised(scores: Scores, labels: Labels, precision: float) -> float:
    """Return the lowest threshold, in whole percent, such that this share of what reaches it is toxic; 0 without."""
    for percent in range(1, 100):
        likely = labels[scores >= percent / 100]
        if len(likely) >= FEWEST_LIKELY and likely.mean() >= precision:
            return percent / 100
    return 0.0


def _rates(labels: Labels, scores: Scores, at_work: npt.NDArray[np.bool_], threshold: float) -> dict[str, Any]:
    everywhere, work = measure(labels, scores, threshold), measure(labels[at_work], scores[at_work], threshold)
    return {"value": threshold} | {
        name: {"sensitivity": found.sensitivity, "false_positive_rate": found.false_positive_rate}
        for name, found in (("all", everywhere), ("work", work))
    }


def _write(folder: Path, fields: dict[str, Any], threads: int) -> None:
    """Score the reference texts with the new settings, in a temporary directory, before `folder` is changed."""
    with tempfile.TemporaryDirectory(prefix="calibrate-") as name:
        copy = Path(name)
        for file in fields["files"]:
            (copy / file).symlink_to((folder / file).resolve())
        fields["reference"]["scores"] = manifest.reference_scores(score_references(copy, fields, threads))
        manifest.write_json(copy / manifest.FILE_NAME, fields)
        Classifier(copy, threads)  # runs the bot's self-test
    model_card.write(folder, fields)
