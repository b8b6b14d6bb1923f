"""Score text with the ONNX model in a directory, and explain the score.

Text that is longer than the model's window is scored in overlapping windows; the most toxic one counts. Of a very long
one as many windows are read as a budget of time allows. Knows nothing of torch, of Slack or of any network.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import emoji_names, reading_budget, verdicts
from .errors import ModelError, NotEnglishWarning
from .heaviest_words import heaviest_words, left_out
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

# Share of a window that the next one repeats, so that an insult on the border is whole in one of them.
OVERLAP = 1 / 8
SPECIAL_TOKENS = 2  # the first and the last of every sequence
# Tokens read of each text when words are compared: sixteen ordinary words have 25; more cost time and memory.
COMPARED_TOKENS = 96


@dataclass(frozen=True)
class Assessment:
    """The scores of a text; `labels` belong to the most toxic of its windows."""

    toxicity: float
    labels: Mapping[str, float]
    windows: int
    """How many of them were read."""
    share: float
    """What was read, as a share of the text."""
    worst_window: str = field(repr=False)
    """The folded text of that window."""


@dataclass(frozen=True)
class Window:
    """A part of a folded text that the model reads at once, and its toxicity."""

    text: str = field(repr=False)
    toxicity: float


class _ScoredWindow(NamedTuple):
    tokens: tuple[int, int]
    characters: tuple[int, int]
    probabilities: npt.NDArray[np.float64]
    """One row."""


class _Reading(NamedTuple):
    """What the model found in a folded text, without any of its words."""

    labels: tuple[float, ...]
    toxicity: float
    windows: int
    share: float
    """Of the folded text."""
    start: int
    end: int
    """Of the most toxic window, in characters."""


class Classifier:
    """Scores English text.

    Without a directory it loads the model that comes with the package. Raises ModelError if a file is missing or
    damaged, or if the model does not score its reference texts as recorded.
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
        """Where the model comes from, and a digest of all that decides its scores."""
        self.threshold, self.threshold_maybe = model.threshold, model.threshold_maybe
        """Toxicity from which a text is called likely toxic, and from which it may be: those of the model directory."""
        self.window = model.window
        """Tokens that are read at once, special tokens included."""
        self._toxic = np.array([label in self._model.toxic_labels for label in self._model.labels])
        self._session = ModelSession(self._model, threads or len(os.sched_getaffinity(0)))
        self._check_references()
        self.cache: ScoreCache[_Reading] = ScoreCache(self._model.version)
        self._heaviest: ScoreCache[tuple[tuple[int, int], ...]] = ScoreCache(self._model.version)

    def toxicity(self, text: str) -> float:
        """Return the calibrated probability, 0 to 1, that the text is toxic.

        Raises TypeError for anything but a str and ValueError for empty text. Warns with NotEnglishWarning where the
        bot would answer that it cannot judge the language.
        """
        return self._assess_english(text).toxicity

    def scores(self, text: str) -> dict[str, float]:
        """Return the probability of every label in the most toxic window; errors and warnings as in `toxicity`."""
        return dict(self._assess_english(text).labels)

    def verdict(
        self,
        text: str | FoldedText,
        thresholds: Thresholds | None = None,
        seconds: float = reading_budget.SECONDS,
        *,
        explain: bool = True,
    ) -> Verdict:
        """Judge a text as the bot does: toxic, may be toxic, fine, or why it cannot be judged.

        Raises TypeError for anything but text. The thresholds default to the model's own; `seconds` are as in `assess`.
        Without `explain` the words that weighed most are not looked for, which takes longer than the score.
        """
        until = self._clock() + seconds
        thresholds = thresholds or Thresholds(self.threshold, self.threshold_maybe)
        try:
            text = FoldedText.of(text)
        except ValueError:
            return verdicts.nothing_to_judge(thresholds)
        if not text.has_words:
            return replace(verdicts.nothing_to_judge(thresholds), share=text.share)
        if language := foreign_language(text):
            return replace(verdicts.not_english(language, thresholds), share=text.share)
        assessment = self.assess(text, until - self._clock())
        verdict = verdicts.decide(assessment.toxicity, thresholds, (), assessment.windows, assessment.share)
        if verdict.outcome == "fine" or not explain:
            return verdict
        words = self.words(assessment, enough=thresholds.maybe)
        emoji = emoji_names.behind_words(text.raw)
        written = _as_written(words, text, emoji)
        gone = {*written, *(word for word, sign in emoji.items() if sign in written)}
        rest = self._rest(text, gone, assessment)
        if rest is not None and rest >= assessment.toxicity:
            return verdict  # words without which the text is no less toxic explain nothing
        return replace(verdict, words=written, rest=rest)

    def assess(self, text: str | FoldedText, seconds: float = reading_budget.SECONDS) -> Assessment:
        """Score the windows of a text, whatever its language; raises TypeError and ValueError as `toxicity` does.

        After so many seconds no further window is begun: then the beginning and the end are read, and windows at even
        distances between them. `reading_budget.TOKENS_ALWAYS_READ` tokens are read however long it takes.
        """
        until = self._clock() + seconds
        text = FoldedText.of(text)
        folded = text.folded
        reading = self.cache.once(folded, lambda: self._read(folded, until), lambda found: found.share == 1)
        labels = dict(zip(self._model.labels, reading.labels, strict=True))
        worst_window = folded[reading.start : reading.end]
        return Assessment(reading.toxicity, labels, reading.windows, text.share * reading.share, worst_window)

    def windows(self, text: str | FoldedText, seconds: float = reading_budget.SECONDS) -> list[Window]:
        """Return the windows that are read of a text, in order; raises as `assess` does."""
        folded = FoldedText.of(text).folded
        _, scored = self._score_windows(folded, self._clock() + seconds)
        return [Window(folded[slice(*characters)], float(self._toxicities(rows)[0])) for _, characters, rows in scored]

    def _read(self, folded: str, until: float = math.inf) -> _Reading:
        tokens, scored = self._score_windows(folded, until)
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

    def _score_windows(self, folded: str, until: float) -> tuple[int, list[_ScoredWindow]]:
        """Return the number of tokens, and the windows that were read, in order."""
        ids, offsets = self._session.encode(folded)
        if not ids:
            raise ValueError("there is no text to judge: the model has no tokens for it")
        spans = self._windows(len(ids))
        scored: list[_ScoredWindow] = []
        tokens = 0
        for start, end in map(spans.__getitem__, reading_budget.spread(len(spans))):
            if tokens >= reading_budget.TOKENS_ALWAYS_READ and self._clock() >= until:
                break
            # One at a time: int8 scales span a batch, and a window's score must not depend on its neighbours.
            probabilities = self._session.probabilities([ids[start:end]])
            scored.append(_ScoredWindow((start, end), (offsets[start][0], offsets[end - 1][1]), probabilities))
            tokens += end - start
        return len(ids), sorted(scored, key=lambda window: window.tokens)

    def words(self, assessment: Assessment, limit: int = 3, enough: float | None = None) -> tuple[str, ...]:
        """Return the words that weighed most in the most toxic window, heaviest first; none if no word stands out.

        They are those without which the score would be below `enough`, by default the model's own `threshold_maybe`.
        """
        window, until = assessment.worst_window, self.threshold_maybe if enough is None else enough

        def find() -> tuple[tuple[int, int], ...]:
            heaviest = heaviest_words(window, self._score_together, limit, until)
            return tuple((start := window.index(word), start + len(word)) for word in heaviest)

        return tuple(window[start:end] for start, end in self._heaviest.once(f"{limit} {until} {window}", find))

    def _rest(self, text: FoldedText, words: Collection[str], assessment: Assessment) -> float | None:
        """Return the toxicity without these words; None if a text was read in parts, which may each have others."""
        if not words or assessment.windows > 1:
            return None
        rest = left_out(text.folded, words)
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

    def _windows(self, tokens: int) -> list[tuple[int, int]]:
        """Return the start and end of each window in tokens; the last one reaches back, so that it is full."""
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
        """Exclusive labels add up; of independent ones the strongest counts."""
        toxic = probabilities[:, self._toxic]
        return np.asarray(toxic.sum(axis=1) if self._model.activation == "softmax" else toxic.max(axis=1))

    def _check_references(self) -> None:
        for text, expected in self._model.references:
            found = self._read(FoldedText.of(text).folded).toxicity
            if not abs(found - expected) <= self._model.reference_tolerance:
                reason = f"scores a reference text {found:.4f} where model.json records {expected:.4f}"
                raise ModelError(self._model.path / "model.onnx", f"{reason}, so it is not what was built: {REMEDY}")


def _covered(spans: Sequence[tuple[int, int]]) -> int:
    """Return how many tokens are in at least one of the spans, which are in order."""
    ends = [0, *(end for _, end in spans)]
    return sum(end - max(start, before) for (start, end), before in zip(spans, ends, strict=False))


def _as_written(words: Sequence[str], text: FoldedText, emoji: Mapping[str, str]) -> tuple[str, ...]:
    """Return each word once, as it was written: a word that only names an emoji becomes that emoji again."""
    letters = text.letters.casefold()
    quoted = (word if word.casefold() in letters else emoji.get(word, "") for word in words)
    return tuple(dict.fromkeys(filter(None, quoted)))
