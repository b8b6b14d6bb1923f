"""Score text with the ONNX model in a directory, and explain the score.

Text longer than the model's window is scored in overlapping windows, and the most toxic one counts. Of a very long text
as many windows are read as a time budget allows. This module does not depend on torch, Slack or a network.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import emoji_names, reading_budget, verdicts
from .cpus import available_cpus
from .errors import ModelError, NotEnglishWarning
from .heaviest_words import heaviest_words, remove_words
from .message_language import foreign_language
from .message_text import FoldedText
from .model_directory import REMEDY, ModelDirectory, embedded
from .model_session import ModelSession
from .score_cache import ScoreCache
from .settings import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy.typing as npt

    from .verdicts import Verdict

# Share of a window that the next one repeats, so that one of them contains all of an insult at the border.
OVERLAP = 1 / 8
SPECIAL_TOKENS = 2  # the first and the last of every sequence
# Tokens read per text when words are compared. Sixteen ordinary words have 25. More would cost time and memory.
COMPARED_TOKENS = 96


@dataclass(frozen=True)
class Assessment:
    """The scores of a text. `labels` are those of its most toxic window."""

    toxicity: float
    labels: Mapping[str, float]
    windows: int
    """Number of windows that were read."""
    share: float
    """The share of the text that was read."""
    worst_window: str = field(repr=False)
    """The folded text of the most toxic window."""


@dataclass(frozen=True)
class Window:
    """A part of a folded text that the model reads in one run, and its toxicity."""

    text: str = field(repr=False)
    toxicity: float


class _ScoredWindow(NamedTuple):
    tokens: tuple[int, int]
    characters: tuple[int, int]
    probabilities: npt.NDArray[np.float64]
    """One row."""


class _Reading(NamedTuple):
    """The model's results for a folded text, without any of its words."""

    labels: tuple[float, ...]
    toxicity: float
    windows: int
    share: float
    """The share of the folded text that was read."""
    start: int
    end: int
    """`start` and `end` of the most toxic window, in characters."""


class Classifier:
    """Scores English text.

    Without a directory it loads the shipped model. Raises ModelError if a file is missing or damaged, or if the scores
    of the reference texts differ from the recorded ones.
    """

    def __init__(
        self,
        model_dir: Path | str | None = None,
        threads: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        model = self._model = ModelDirectory.read(embedded() if model_dir is None else Path(model_dir))
        self.name = model.name
        """The model's source, and a digest of everything that determines its scores."""
        self.threshold, self.threshold_maybe = model.threshold, model.threshold_maybe
        """Toxicity at or above which a text is likely toxic, or may be toxic, as recorded in the model directory."""
        self.window = model.window
        """Tokens per window, including special tokens."""
        self._toxic = np.array([label in self._model.toxic_labels for label in self._model.labels])
        self._session = ModelSession(self._model, threads or available_cpus())
        self._check_references()
        self.cache: ScoreCache[_Reading] = ScoreCache(self._model.version)
        self._heaviest: ScoreCache[tuple[tuple[int, int], ...]] = ScoreCache(self._model.version)

    def toxicity(self, text: str) -> float:
        """Return the calibrated probability, 0 to 1, that the text is toxic.

        Raises TypeError for anything but a str, and ValueError for empty text. Issues NotEnglishWarning if the bot
        would answer that it cannot judge the language.
        """
        return self._assess_english(text).toxicity

    def scores(self, text: str) -> dict[str, float]:
        """Return the probability of every label in the most toxic window. Errors and warnings are as in `toxicity`."""
        return dict(self._assess_english(text).labels)

    def verdict(
        self,
        text: str | FoldedText,
        thresholds: Thresholds | None = None,
        seconds: float = reading_budget.BUDGET_SECONDS,
        *,
        explain: bool = True,
    ) -> Verdict:
        """Judge a text as the bot does: likely toxic, may be toxic, fine, or the reason why it cannot be judged.

        Raises TypeError for anything but text. `thresholds` default to the model's; `seconds` is as in `assess`.
        `explain=False` skips the search for the words that weighed most, which takes longer than the score.
        """
        deadline = self._clock() + seconds
        thresholds = thresholds or Thresholds(self.threshold, self.threshold_maybe)
        try:
            text = FoldedText.of(text)
        except ValueError:
            return verdicts.nothing_to_judge(thresholds)
        if not text.has_words:
            return replace(verdicts.nothing_to_judge(thresholds), share=text.share)
        if language := foreign_language(text):
            return replace(verdicts.not_english(language, thresholds), share=text.share)
        assessment = self.assess(text, deadline - self._clock())
        verdict = verdicts.decide(assessment.toxicity, thresholds, (), assessment.windows, assessment.share)
        if verdict.outcome == "fine" or not explain:
            return verdict
        words = self.words(assessment, threshold=thresholds.maybe)
        emoji = emoji_names.emoji_by_word(text.raw)
        written = _as_written(words, text, emoji)
        removed = {*written, *(word for word, sign in emoji.items() if sign in written)}
        rest = self._score_without(text, removed, assessment)
        if rest is not None and rest >= assessment.toxicity:
            return verdict  # the text is no less toxic without these words, so they explain nothing
        return replace(verdict, words=written, rest=rest)

    def assess(self, text: str | FoldedText, seconds: float = reading_budget.BUDGET_SECONDS) -> Assessment:
        """Score the windows of a text in any language. Raises TypeError and ValueError as `toxicity` does.

        After `seconds` no window is started. By then the beginning, the end and evenly spaced windows between them have
        been read. At least `reading_budget.MIN_TOKENS` tokens are read, however long it takes.
        """
        deadline = self._clock() + seconds
        text = FoldedText.of(text)
        folded = text.folded
        reading = self.cache.get_or_compute(
            folded, lambda: self._read(folded, deadline), lambda found: found.share == 1
        )
        labels = dict(zip(self._model.labels, reading.labels, strict=True))
        worst_window = folded[reading.start : reading.end]
        return Assessment(reading.toxicity, labels, reading.windows, text.share * reading.share, worst_window)

    def windows(self, text: str | FoldedText, seconds: float = reading_budget.BUDGET_SECONDS) -> list[Window]:
        """Return the windows of a text that are read, in order. Raises as `assess` does."""
        folded = FoldedText.of(text).folded
        _, scored = self._score_windows(folded, self._clock() + seconds)
        return [Window(folded[slice(*characters)], float(self._toxicities(rows)[0])) for _, characters, rows in scored]

    def _read(self, folded: str, deadline: float = math.inf) -> _Reading:
        tokens, scored = self._score_windows(folded, deadline)
        toxicities = self._toxicities(np.concatenate([rows for _, _, rows in scored]))
        worst = int(toxicities.argmax())
        _, (start, end), (labels,) = scored[worst]
        return _Reading(
            labels=tuple(labels.tolist()),
            toxicity=float(toxicities[worst]),
            windows=len(scored),
            share=_covered([span for span, _, _ in scored]) / tokens,
            start=start,
            end=end,
        )

    def _score_windows(self, folded: str, deadline: float) -> tuple[int, list[_ScoredWindow]]:
        """Return the number of tokens, and the windows that were read, in order."""
        ids, offsets = self._session.encode(folded)
        if not ids:
            raise ValueError("there is no text to judge: the model has no tokens for it")
        spans = self._spans(len(ids))
        scored: list[_ScoredWindow] = []
        tokens = 0
        for start, end in map(spans.__getitem__, reading_budget.spread(len(spans))):
            if tokens >= reading_budget.MIN_TOKENS and self._clock() >= deadline:
                break
            # One at a time: in a batch, windows would share int8 scales, and scores must not depend on neighbours.
            probabilities = self._session.probabilities([ids[start:end]])
            scored.append(_ScoredWindow((start, end), (offsets[start][0], offsets[end - 1][1]), probabilities))
            tokens += end - start
        return len(ids), sorted(scored, key=lambda window: window.tokens)

    def words(self, assessment: Assessment, limit: int = 3, threshold: float | None = None) -> tuple[str, ...]:
        """Return the words that weighed most in the most toxic window, heaviest first; none if no word stands out.

        Without them the score would be below `threshold`, by default the model's `threshold_maybe`.
        """
        window = assessment.worst_window
        goal = self.threshold_maybe if threshold is None else threshold

        def find() -> tuple[tuple[int, int], ...]:
            heaviest = heaviest_words(window, self._score_together, limit, goal)
            return tuple((start := window.index(word), start + len(word)) for word in heaviest)

        spans = self._heaviest.get_or_compute(f"{limit} {goal} {window}", find)
        return tuple(window[start:end] for start, end in spans)

    def _score_without(self, text: FoldedText, words: Collection[str], assessment: Assessment) -> float | None:
        """Return the toxicity without these words. None for several windows, which may each have other such words."""
        if not words or assessment.windows > 1:
            return None
        rest = remove_words(text.folded, words)
        return self.assess(rest).toxicity if rest else 0.0

    def _assess_english(self, text: str) -> Assessment:
        folded = FoldedText.of(text)
        if language := foreign_language(folded):
            warnings.warn(
                f"the text seems to be in {verdicts.language_name(language)}, and the model reads English only",
                NotEnglishWarning,
                stacklevel=3,
            )
        return self.assess(folded)

    def _spans(self, tokens: int) -> list[tuple[int, int]]:
        """Return the start and end of each window, in tokens. The last one overlaps more, so that it is full."""
        room = self.window - SPECIAL_TOKENS
        step = room - int(room * OVERLAP)
        last = max(tokens - room, 0)
        starts = [min(start, last) for start in range(0, last + step, step)]
        return [(start, min(start + room, tokens)) for start in starts]

    def _score_together(self, texts: Sequence[str]) -> list[float]:
        """Score short folded texts in one batch, to compare them with each other."""
        room = min(COMPARED_TOKENS, self.window - SPECIAL_TOKENS)
        sequences = [self._session.encode(text)[0][:room] for text in texts]
        return [float(toxicity) for toxicity in self._toxicities(self._session.probabilities(sequences))]

    def _toxicities(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the toxicity of each row: the sum of exclusive toxic labels, or the maximum of independent ones."""
        toxic = probabilities[:, self._toxic]
        return np.asarray(toxic.sum(axis=1) if self._model.activation == "softmax" else toxic.max(axis=1))

    def _check_references(self) -> None:
        for text, expected in self._model.references:
            found = self._read(FoldedText.of(text).folded).toxicity
            if not abs(found - expected) <= self._model.reference_tolerance:
                reason = f"scores a reference text {found:.4f} where model.json records {expected:.4f}"
                raise ModelError(self._model.path / "model.onnx", f"{reason}: {REMEDY}")


def _covered(spans: Sequence[tuple[int, int]]) -> int:
    """Return how many tokens are in at least one of the spans, which must be sorted."""
    ends = [0, *(end for _, end in spans)]
    return sum(end - max(start, before) for (start, end), before in zip(spans, ends, strict=False))


def _as_written(words: Sequence[str], text: FoldedText, emoji: Mapping[str, str]) -> tuple[str, ...]:
    """Return each word once, as it was written. A word that only stands for an emoji becomes that emoji again."""
    letters = text.letters.casefold()
    quoted = (word if word.casefold() in letters else emoji.get(word, "") for word in words)
    return tuple(dict.fromkeys(filter(None, quoted)))
