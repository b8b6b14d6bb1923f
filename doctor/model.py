"""The model on this machine: it is loaded as the worker loads it, self-test included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doctor.findings import Check, ok, wrong
from errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def check_model(model_dir: Path) -> Check[None]:
    """Load it, which compares the files' sizes and a reference score with what model.json records."""
    from classifier import Classifier  # a quarter of a second that other installations do without

    try:
        classifier = Classifier(model_dir)
    except ModelError as error:
        sentence, _, mend = str(error).rpartition(": ")
        yield wrong("model", sentence, mend)
    else:
        told = f"the model in {model_dir} passes its self-test; toxic from {classifier.threshold:g}"
        yield ok("model", told)
