"""A model directory and a text come in, the probability that the text is toxic comes out.

Knows nothing of torch, of Slack or of any network. A text longer than the model reads is scored in overlapping
windows, each a sequence of its own, and the worst one counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import ModelError
from .heaviest_words import heaviest_words
from .message_text import fold
from .model_directory import REMEDY, ModelDirectory
from .model_session import ModelSession

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

# The share of a window that the next one repeats, so that an insult on the border stands whole in one of them.
OVERLAP = 1 / 8
SPECIAL_TOKENS = 2  # the first and the last of every sequence
# Tokens read of each text in a comparison: sixteen ordinary words have 25; more would only cost time and memory.
COMPARED_TOKENS = 96


@dataclass(frozen=True)
class Assessment:
    """What the model makes of a text; the labels are those of the worst of its windows."""

    toxicity: float
    labels: Mapping[str, float]
    windows: int
    worst_window: str = field(repr=False)
    """Its text as the model read it."""


class Classifier:
    """Scores raw text; raises ModelError rather than serve a model that is incomplete, damaged or another one."""

    def __init__(self, model_dir: Path | str, threads: int | None = None) -> None:
        self._model = ModelDirectory.read(Path(model_dir))
        self._toxic = np.array([label in self._model.toxic_labels for label in self._model.labels])
        self._session = ModelSession(self._model, threads or len(os.sched_getaffinity(0)))
        self._check_references()

    @property
    def threshold(self) -> float:
        """The toxicity from which the model's maker calls a text toxic."""
        return self._model.threshold

    @property
    def threshold_maybe(self) -> float:
        """The toxicity from which the model's maker says that a text may be toxic; the threshold or less."""
        return self._model.threshold_maybe

    @property
    def window(self) -> int:
        """Tokens that are read at once, the special ones included."""
        return self._model.window

    def toxicity(self, text: str) -> float:
        """Return the calibrated probability, 0 to 1, that the text is toxic."""
        return self.assess(text).toxicity

    def scores(self, text: str) -> dict[str, float]:
        """Return the probability of every label, in the worst window of the text."""
        return dict(self.assess(text).labels)

    def assess(self, text: str) -> Assessment:
        """Score every window of the text; raises ValueError if there is nothing to judge."""
        folded = fold(text)
        ids, offsets = self._session.encode(folded)
        if not ids or not folded.strip():
            raise ValueError("there is no text to judge")
        spans = self._windows(len(ids))
        # One at a time: int8 scales span a batch, and a window's score must not depend on its neighbours.
        rows = np.concatenate([self._session.probabilities([ids[start:end]]) for start, end in spans])
        toxicities = self._toxicities(rows)
        worst = int(toxicities.argmax())
        labels = dict(zip(self._model.labels, rows[worst].tolist(), strict=True))
        start, end = spans[worst]
        return Assessment(float(toxicities[worst]), labels, len(spans), folded[offsets[start][0] : offsets[end - 1][1]])

    def words(self, assessment: Assessment, limit: int = 3) -> tuple[str, ...]:
        """Return the words that weighed most in the worst window, the heaviest first; none if no word stands out."""
        return heaviest_words(assessment.worst_window, self._score_together, limit)

    def _windows(self, tokens: int) -> list[tuple[int, int]]:
        """Return where each window starts and ends; the last one reaches back, so that it is full."""
        room = self.window - SPECIAL_TOKENS
        step = room - int(room * OVERLAP)
        last = max(tokens - room, 0)
        starts = [min(start, last) for start in range(0, last + step, step)]
        return [(start, min(start + room, tokens)) for start in starts]

    def _score_together(self, texts: Sequence[str]) -> list[float]:
        """Score short folded texts in one batch: for comparing them with each other."""
        room = min(COMPARED_TOKENS, self.window - SPECIAL_TOKENS)
        sequences = [self._session.encode(text)[0][:room] for text in texts]
        return [float(toxicity) for toxicity in self._toxicities(self._session.probabilities(sequences))]

    def _toxicities(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Exclusive labels add up; of independent ones the strongest counts."""
        toxic = probabilities[:, self._toxic]
        return np.asarray(toxic.sum(axis=1) if self._model.activation == "softmax" else toxic.max(axis=1))

    def _check_references(self) -> None:
        for text, expected in self._model.references:
            found = self.toxicity(text)
            if not abs(found - expected) <= self._model.reference_tolerance:
                reason = f"scores a reference text {found:.4f} where model.json records {expected:.4f}"
                raise ModelError(self._model.path / "model.onnx", f"{reason}, so it is not what was built: {REMEDY}")
