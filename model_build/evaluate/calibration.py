"""Calibrate a model directory: write a temperature and two thresholds into its `model.json`.

The temperature divides the logits, so that for example 80 % of the messages with a score of 0.8 are toxic. It is
fitted by minimizing the negative log-likelihood on chat and similar sources (Guo et al. 2017, On Calibration of Modern
Neural Networks, section 4.2), and does not change the ranking of texts. Texts used for calibration must not be used for
training or for a report.
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

TEMPERATURES = (0.05, 20.0)  # bounds; no sensible classifier needs a temperature beyond them
MIN_LIKELY = 10  # labelled chat messages that must reach a threshold before their precision counts
MAYBE_PRECISION = 1 / 6
MAYBE_RATE = 5  # times the false-positive rate of `threshold`
LOG_EPSILON = 1e-12  # lower bound of probabilities, to keep their logarithms finite
ROUNDING_ERROR = 1e-9  # in floating point, 0.29 * 100 is less than 29
OUTDATED = ("evaluation", "written", "quality")  # measurements that calibration invalidates


def calibrate(
    folder: Path,
    data: EvaluationSet,
    work_sources: Sequence[str],
    false_positive_rate: float,
    threads: int,
    chat_rate: float,
    likely_precision: float,
) -> None:
    """Update `model.json` and the card in place. After an error they are unchanged.

    The temperature is fitted on all work sources together, because a small source has too few texts.

    `threshold` is the lowest value that at most a share of `chat_rate` of the unlabelled chat reaches. Only chat shows
    how many alarms a workplace gets, because the collections were selected to be hard. Without chat, it is the lowest
    value that at most `false_positive_rate` of the work sources' harmless texts reach. `threshold_maybe` uses five
    times that rate: both thresholds are then set by false positives, independent of the share of toxic texts.

    If chat messages are labelled (rows whose `detail` has `chosen`, as in data/chat.jsonl), `threshold` is raised until
    at least `likely_precision` of the messages that reach it are toxic, as "likely" promises, and `threshold_maybe`
    until one in six is. If no value does that, the one with the highest share is taken, and a message says so.
    """
    fields = manifest.read(folder)
    at_work = np.isin(data.sources, work_sources)
    harmless = at_work & (data.labels == 0)
    count, toxic = int(harmless.sum()), int(data.labels[at_work].sum())
    if count * false_positive_rate < 1 or not toxic:
        raise ModelBuildError(
            f"{data.file}, split {data.split}, has {count} harmless and {toxic} toxic texts from "
            f"{', '.join(work_sources)}: too few for a temperature and a false-positive rate of "
            f"{false_positive_rate:g}; pass other --work-sources or a higher --false-positive-rate"
        )
    all_logits = _logits(folder, fields, [*data.texts, *data.chat], threads)
    logits, chat = np.split(all_logits, [len(data.texts)])
    before = _toxicities(logits, fields, float(fields["temperature"]))
    work = data.labels[at_work]
    temperature = _temperature(logits[at_work], fields, work)
    after = _toxicities(logits, fields, temperature)
    alarm_scores, rate = after[harmless], false_positive_rate
    if data.chat:
        alarm_scores, rate = _toxicities(chat, fields, temperature), chat_rate
    in_chat = np.array(["chosen" in detail for detail in data.details])  # a key of the labelled chat messages
    raised = partial(_precise_threshold, after[in_chat], data.labels[in_chat])
    for_rate, for_maybe_rate = (_rate_threshold(alarm_scores, one) for one in (rate, min(MAYBE_RATE * rate, 0.5)))
    threshold = raised(likely_precision, for_rate)
    maybe = min(threshold, raised(MAYBE_PRECISION, for_maybe_rate))
    promise = None
    if len(likely := data.labels[in_chat & (after >= threshold)]) >= MIN_LIKELY:
        promise = {"messages": int(in_chat.sum()), "precision": likely_precision, "reached": float(likely.mean())}
    errors = [calibration_error(work, scores[at_work]) for scores in (before, after)]
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "data": {"file": data.file, "sha256": data.sha256, "split": data.split},
        "rows": len(data.texts),
        "work_rows": len(work),
        "sources": data.source_names(),
        "work_sources": sorted(set(work_sources) & set(data.source_names())),
        "chat": {"messages": len(data.chat), "rate": chat_rate} if data.chat else None,
        "promise": promise,
        "temperature": temperature,
        "negative_log_likelihood": [log_loss(work, scores[at_work]) for scores in (before, after)],
        "calibration_error": errors,
        "threshold": _rates(data.labels, after, at_work, threshold),
        "threshold_maybe": _rates(data.labels, after, at_work, maybe),
    }
    fields |= {"temperature": temperature, "threshold": threshold, "threshold_maybe": maybe}
    kept = {name: value for name, value in fields["measured"].items() if name not in OUTDATED}
    # With so few texts, more than six digits would be noise.
    rounded = json.loads(json.dumps(found), parse_float=lambda number: round(float(number), 6))
    fields["measured"] = kept | {"calibration": rounded}
    _write(folder, fields, threads)
    print(
        f"calibrate: temperature {temperature:g}, threshold {threshold:g}, threshold_maybe {maybe:g}; calibration "
        f"error {errors[0]:.4f} before, {errors[1]:.4f} after",
        flush=True,
    )


def _logits(folder: Path, fields: dict[str, Any], texts: Sequence[str], threads: int) -> npt.NDArray[np.float64]:
    """Recover the logits, (texts, labels), from the served scores, up to a constant per text."""
    classifier = Classifier(folder, threads)
    rows = [list(classifier.scores(text).values()) for text in progress_bar(texts, desc="calibrate", unit="text")]
    probabilities = np.clip(np.array(rows), LOG_EPSILON, None)
    logits = np.log(probabilities)
    if fields["activation"] == "sigmoid":
        logits -= np.log(np.clip(1 - probabilities, LOG_EPSILON, None))
    return np.asarray(logits * float(fields["temperature"]))


def _toxicities(logits: npt.NDArray[np.float64], fields: Mapping[str, Any], temperature: float) -> Scores:
    """Return the bot's toxicity scores at this temperature, shape (texts,)."""
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
            "for these labels, or it makes no errors on these texts; pass other --data"
        )
    return round(temperature, 4)


def _rate_threshold(harmless: Scores, rate: float) -> float:
    """Return the lowest threshold that at most this share of the scores reaches, in whole percent as verdicts show."""
    highest_below = float(np.sort(harmless)[::-1][int(rate * len(harmless) + ROUNDING_ERROR)])
    return min(math.floor(highest_below * 100 + ROUNDING_ERROR) + 1, 100) / 100


def _precise_threshold(scores: Scores, labels: Labels, precision: float, lowest: float) -> float:
    """Return the lowest threshold in whole percent from `lowest` on with this precision.

    If there is none, print a message and return the one with the highest precision. Thresholds that fewer than
    MIN_LIKELY messages reach do not count; if `lowest` is one of them, return it.
    """
    best, reached = lowest, -1.0
    for percent in range(round(100 * lowest), 100):
        likely = labels[scores >= percent / 100]
        if len(likely) < MIN_LIKELY:
            break
        if (share := float(likely.mean())) > reached:
            best, reached = percent / 100, share
        if share >= precision:
            return best
    if reached >= 0:
        print(
            f"calibrate: at no threshold are {100 * precision:.0f} % of the labelled chat messages that reach it "
            f"toxic; at {best:g} it is {100 * reached:.0f} %",
            flush=True,
        )
    return best


def _rates(labels: Labels, scores: Scores, at_work: npt.NDArray[np.bool_], threshold: float) -> dict[str, Any]:
    everywhere, work = measure(labels, scores, threshold), measure(labels[at_work], scores[at_work], threshold)
    return {"value": threshold} | {
        name: {"sensitivity": found.sensitivity, "false_positive_rate": found.false_positive_rate}
        for name, found in (("all", everywhere), ("work", work))
    }


def _write(folder: Path, fields: dict[str, Any], threads: int) -> None:
    """Test the new settings in a temporary directory, record the reference scores, then update `folder`."""
    with tempfile.TemporaryDirectory(prefix="calibrate-") as name:
        copy = Path(name)
        for file in fields["files"]:
            (copy / file).symlink_to((folder / file).resolve())
        fields["reference"]["scores"] = manifest.reference_scores(score_references(copy, fields, threads))
        manifest.write_json(copy / manifest.FILE_NAME, fields)
        Classifier(copy, threads)  # runs the bot's self-test
    model_card.write(folder, fields)
