"""Labelled texts and a model directory come in, how well it ranks and judges them comes out.

PyTorch at full precision scores them once, for all candidates. No text is printed or kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_build.quality import read_sample, roc_auc
from model_build.search.build import THRESHOLD
from model_build.search.finding import Quality
from model_build.source import locate
from model_build.torch_model import TorchModel
from toxicity_bot.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SAMPLE = 1000  # texts: a candidate that spoils the model shows on fewer


class Judge:
    """Texts longer than one window are left out, since PyTorch would cut them."""

    def __init__(self, source: str, toxic: Sequence[str], labelled: Path) -> None:
        model = TorchModel(locate(source), toxic)
        rows = [(text, label) for text, label in read_sample(labelled, SAMPLE) if model.fits(text) and text.strip()]
        self.texts = [text for text, _ in rows]
        self._labels = np.array([label for _, label in rows])
        self._full = np.array(model.toxicities(self.texts))

    def full_precision(self) -> Quality:
        """Return what PyTorch's scores are worth."""
        return self._quality(self._full)

    def quality(self, folder: Path) -> Quality:
        """Return what the scores of the model in this folder are worth."""
        classifier = Classifier(folder)
        return self._quality(np.array([classifier.toxicity(text) for text in self.texts]))

    def _quality(self, scores: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Quality:
        changed = (self._full >= THRESHOLD) != (scores >= THRESHOLD)
        return Quality(auc=round(roc_auc(self._labels, scores), 5), changed_verdicts=round(float(changed.mean()), 5))
