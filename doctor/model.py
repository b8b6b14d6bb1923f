"""The model on this machine: it is loaded as the worker loads it, self-test included, and held against the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doctor.findings import Check, ok, wrong
from toxicity_bot.errors import ModelError, SettingError
from toxicity_bot.settings import Thresholds

if TYPE_CHECKING:
    from toxicity_bot.settings import Settings


def check_model(settings: Settings) -> Check[None]:
    """Load it, which compares the files' sizes and a reference score with what model.json records."""
    from toxicity_bot.classifier import Classifier  # a quarter of a second that other installations do without

    try:
        classifier = Classifier(settings.model_dir)
        toxic, maybe = settings.thresholds(Thresholds(classifier.threshold, classifier.threshold_maybe))
    except (ModelError, SettingError) as error:
        sentence, _, mend = str(error).rpartition(": ")
        yield wrong("model", sentence, mend)
    else:
        may_be = f", and may be from {maybe:g}" if maybe < toxic else ""
        yield ok("model", f"the model in {settings.model_dir} passes its self-test; toxic from {toxic:g}{may_be}")
