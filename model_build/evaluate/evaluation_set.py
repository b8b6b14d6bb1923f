"""The labelled messages that models are scored on, and slices of them on which classifiers are known to fail.

Each slice tests one weakness: too much weight on single words, ignored negation, unusual spelling. The word lists hold
neutral words and everyday swearing; slurs are left to the models.
"""

from __future__ import annotations

import hashlib
import random
import re
import tomllib
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model_build.data import Row, read
from model_build.errors import ModelBuildError
from model_build.source import sha256
from toxicity_bot import emoji_names, leetspeak, message_text
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

LEETSPEAK_RULE = (
    "every text, with one letter replaced by a sign that looks like it in a quarter of the words of four letters or "
    "more (at least one), before the bot's folding"
)
WORK_SOURCES = ("gh_incivility", "cmu_oss", "cat_wiki")

WORD_SLICES = Path(__file__).with_name("word_slices.toml")
# Signs that people type in place of a letter.
_LOOK_ALIKES = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7"}
# Folded text has placeholders for names and links, which stay as they are.
_WORD = re.compile(r"(?<![@#\w])(?!http\b)[^\W\d_]{4,}")
DISGUISED_SHARE = 1 / 4  # of the words of four letters or more


@dataclass(frozen=True)
class EvaluationSet:
    """Texts as the model reads them, each with a label (1 is toxic) and a source."""

    file: str
    sha256: str
    split: str
    per_source: int | None
    texts: list[str] = field(repr=False)
    originals: list[str] = field(repr=False)
    """The same texts before folding."""
    labels: npt.NDArray[np.int64] = field(repr=False)
    sources: npt.NDArray[np.str_] = field(repr=False)

    def source_names(self) -> list[str]:
        """Return every source once, in alphabetical order."""
        return sorted({str(source) for source in self.sources})

    def as_json(self) -> dict[str, Any]:
        """Return the description for `report.json`; it has no text."""
        return {
            "file": self.file,
            "sha256": self.sha256,
            "split": self.split,
            "per_source": self.per_source,
            "rows": len(self.texts),
            "toxic": int(self.labels.sum()),
            "sources": {
                name: {"rows": int(here.sum()), "toxic": int(self.labels[here].sum())}
                for name in self.source_names()
                for here in [self.sources == name]
            },
        }


@dataclass(frozen=True)
class Slice:
    """Some rows, by their index in the evaluation set, and the texts to score for them."""

    name: str
    rule: str
    """How the rows are chosen, in a sentence for people."""
    rows: npt.NDArray[np.int64]
    texts: list[str]


def load(path: Path, split: str, per_source: int | None = None, seed: int = 1) -> EvaluationSet:
    """Return the messages of a split, at most `per_source` of each source, sampled reproducibly.

    Texts that are empty after folding are left out. Raises ModelBuildError unless the split has both labels.
    """
    rows = read(path).of_split(split)
    if per_source is not None:
        rows = _sampled(rows, per_source, seed)
    folded = [(text, row) for row in rows if (text := fold(row.text))]
    labels = np.array([row.label for _, row in folded], dtype=np.int64)
    if set(labels.tolist()) != {0, 1}:
        raise ModelBuildError(f"{path} has no rows of both labels, 0 and 1, in its split {split}: pass another --split")
    return EvaluationSet(
        file=path.name,
        sha256=sha256(path),
        split=split,
        per_source=per_source,
        texts=[text for text, _ in folded],
        originals=[row.text for _, row in folded],
        labels=labels,
        sources=np.array([row.source for _, row in folded]),
    )


def folding_checksum() -> str:
    """Return a checksum of the code that folds texts."""
    return " ".join(sha256(Path(str(module.__file__))) for module in (message_text, emoji_names, leetspeak))


def slices(data: EvaluationSet, seed: int) -> list[Slice]:
    """Return the slices that have rows; the same for the same texts and seed."""
    parts = [
        (part["name"], part["rule"], _having_one_of(part["words"].split(), data.texts))
        for part in tomllib.loads(WORD_SLICES.read_text(encoding="utf-8"))["slices"]
    ]
    parts.append(("work chat", f"is from the sources {', '.join(WORK_SOURCES)}", np.isin(data.sources, WORK_SOURCES)))
    found = [
        Slice(name, rule, rows, [data.texts[row] for row in rows])
        for name, rule, here in parts
        if len(rows := np.flatnonzero(here))
    ]
    everything = np.arange(len(data.texts))
    lower = [fold(text.lower()) for text in data.texts]
    disguised = [fold(disguise(text, seed)) for text in data.texts]
    return [
        *found,
        Slice("lower case", "every text, in lower case", everything, lower),
        Slice("leetspeak", LEETSPEAK_RULE, everything, disguised),
    ]


def disguise(text: str, seed: int) -> str:
    """Return the text with some letters replaced by look-alikes, chosen by the seed and the text."""
    words = [match for match in _WORD.finditer(text) if set(match[0].lower()) & set(_LOOK_ALIKES)]
    if not words:
        return text
    chance = random.Random(f"{seed} {hashlib.sha256(text.encode()).hexdigest()}")  # noqa: S311 - letters, not a secret
    letters = list(text)
    for word in chance.sample(words, max(1, round(DISGUISED_SHARE * len(words)))):
        places = [place for place in range(*word.span()) if letters[place].lower() in _LOOK_ALIKES]
        place = chance.choice(places)
        signs = _LOOK_ALIKES[letters[place].lower()]
        # An at sign before letters would make a user name of them.
        letters[place] = chance.choice(signs.replace("@", "") if place == word.start() else signs)
    return "".join(letters)


def _sampled(rows: Sequence[Row], per_source: int, seed: int) -> list[Row]:
    """Rank rows by a checksum, so that a smaller sample is part of a larger one and cached scores serve both."""
    ranked = sorted(rows, key=lambda row: (row.source, hashlib.sha256(f"{seed} {row.text}".encode()).digest()))
    return [row for _, group in groupby(ranked, attrgetter("source")) for row in islice(group, per_source)]


def _having_one_of(words: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    pattern = re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)
    return np.array([bool(pattern.search(text)) for text in texts])
