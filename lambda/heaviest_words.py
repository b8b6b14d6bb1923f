"""Find the words that raise the score of a text most, by leaving them out (occlusion).

Insults mask each other: without one of them the score stays high. So the heaviest word is left out, then the heaviest
of the rest, until the score is below a threshold. The cost is bounded: a long text is first narrowed to its most toxic
part, and only the words that are most toxic by themselves are candidates. This module does not depend on the model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

from .message_text import PLACEHOLDERS
from .unquotable import unquotable

Scorer: TypeAlias = Callable[[Sequence[str]], Sequence[float]]

MAX_WORDS = 48  # longer texts are narrowed
MAX_PARTS = 8  # of a longer text, in each round of narrowing
MAX_WORDS_SCORED = 256  # in all variants of a text together
MIN_CANDIDATES = 4  # words to leave out of the longest text, and of any text after the first round
CLEAR_DROP = 0.25  # of toxicity; a smaller drop may come from broken grammar
SMALL_DROP = 0.1  # a smaller drop may be noise of int8
SUSPECT_ALONE = 0.25  # required toxicity of a word by itself if the drop is small
TOXIC_ALONE = 0.5  # the same below SMALL_DROP

# After folding, only swear words contain stars.
_WORD = re.compile(r"(?<![\w@#])[^\W\d_]+(?:(?:['\u2019-]|\*+)[^\W\d_]+)*(?!\w)")
_SENTENCE_END = re.compile(r"[.!?:;\u2026][\"'\u201d\u2019)\]]*$")


def heaviest_words(text: str, score: Scorer, limit: int, threshold: float) -> tuple[str, ...]:
    """Return at most `limit` words, heaviest first; none if no single word matters.

    Words are left out until the score is below `threshold`. A word that occurs twice is left out in both places.
    """
    words = _heaviest_part(text.split(), score)
    spellings = _quotable(words)
    if not spellings:
        return ()
    alone = dict(zip(spellings, score(list(spellings.values())), strict=True))
    candidates = sorted(spellings, key=alone.__getitem__, reverse=True)[
        : max(MIN_CANDIDATES, MAX_WORDS_SCORED // len(words))
    ]
    (whole,) = score([" ".join(words)])
    heaviest: list[str] = []
    toxicity = whole
    while candidates and toxicity >= threshold and len(heaviest) < limit:
        scores = _scores_without({key: _without(words, {*heaviest, key}) for key in candidates}, score)
        # Near certainty all drops are small, and a word's own toxicity says more.
        weights = {
            key: _log_odds(toxicity) - _log_odds(scores[key]) + max(0, _log_odds(alone[key])) for key in candidates
        }
        candidates.sort(key=weights.__getitem__, reverse=True)
        heavy = next((key for key in candidates if alone[key] >= _needed_alone(toxicity - scores[key])), None)
        if heavy is None:
            break
        heaviest.append(heavy)
        toxicity = scores[heavy]
        candidates = [key for key in candidates if key != heavy][:MIN_CANDIDATES]
    heaviest += [key for key in candidates if alone[key] >= TOXIC_ALONE]
    return tuple(spellings[key] for key in heaviest[:limit])


def remove_words(text: str, words: Collection[str]) -> str:
    """Return the text without these words, ignoring case."""
    return _without(text.split(), {word.casefold() for word in words})


def _scores_without(variants: Mapping[str, str], score: Scorer) -> Mapping[str, float]:
    """Score the variants. One without any words is not toxic."""
    scored = {key: variant for key, variant in variants.items() if variant}
    toxicities = score(list(scored.values())) if scored else ()
    return dict.fromkeys(variants, 0.0) | dict(zip(scored, toxicities, strict=True))


def _quotable(words: Sequence[str]) -> dict[str, str]:
    """Return the words that may be quoted, by their case-folded form."""
    found = [[match[0] for match in _words_of(word)] for word in words]
    flat = [part for parts in found for part in parts]
    # In a title or in all caps, capital letters do not indicate names.
    case_tells = sum(part[0].islower() for part in flat) * 2 >= len(flat)
    spellings: dict[str, str] = {}
    inside = False
    for word, parts in zip(words, found, strict=True):
        for part in parts:
            if len(part) > 1 and not unquotable(part, name_by_case=case_tells and inside):
                spellings.setdefault(part.casefold(), part)
            inside = True
        inside = inside and not _SENTENCE_END.search(word)
    return spellings


def _words_of(word: str) -> Iterator[re.Match[str]]:
    return _WORD.finditer(PLACEHOLDERS.sub(lambda found: " " * len(found[0]), word))


def _without(words: Sequence[str], keys: Collection[str]) -> str:
    """Leave out words, with adjacent punctuation unless it also belongs to another word."""
    kept = []
    for word in words:
        found = list(_words_of(word))
        gone = [match for match in found if match[0].casefold() in keys]
        if gone and len(gone) < len(found):
            for match in reversed(gone):
                word = word[: match.start()] + word[match.end() :]
        if len(gone) < len(found) or not gone:
            kept.append(word)
    return " ".join(kept)


def _needed_alone(drop: float) -> float:
    """Return how toxic a word must be by itself to count, if leaving it out lowers the toxicity by `drop`."""
    if drop >= CLEAR_DROP:
        return 0.0
    return SUSPECT_ALONE if drop >= SMALL_DROP else TOXIC_ALONE


def _log_odds(probability: float) -> float:
    probability = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(probability / (1 - probability))


def _heaviest_part(words: Sequence[str], score: Scorer) -> Sequence[str]:
    while len(words) > MAX_WORDS:
        size = math.ceil(len(words) / min(MAX_PARTS, math.ceil(len(words) / MAX_WORDS)))
        parts = [words[start : start + size] for start in range(0, len(words), size)]
        toxicities = score([" ".join(part) for part in parts])
        words = parts[max(range(len(parts)), key=toxicities.__getitem__)]
    return words
