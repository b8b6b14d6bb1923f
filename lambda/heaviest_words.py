"""A text and a way to score texts come in, the words that weighed most come out, by leaving one out at a time.

The cost is bounded: a text of many words is first narrowed to its heaviest part, so that at most about 30 short texts
are scored, and where that finds nothing `MOST_WORDS` single words. Knows nothing of models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from .message_text import CHANNEL, LINK, MENTION

Scorer: TypeAlias = Callable[[Sequence[str]], Sequence[float]]

MOST_WORDS = 16  # of which each is left out in turn
MOST_PARTS = 8  # that a longer text is cut into, each scored alone
CLEAR_DROP = 0.1  # of the toxicity; less than that is the noise of int8 and of odd grammar
TOXIC_ALONE = 0.5  # the toxicity of a word by itself that makes it one
# What hugs a word and is no part of it; the escapes are curly quotes and dashes.
PUNCTUATION = ".,;:!?\"'`()[]{}<>*_~|-/\\\u2026\u2018\u2019\u201c\u201d\u2013\u2014"
# What the folding of texts puts in place of names and addresses says nothing to a reader.
PLACEHOLDERS = frozenset({MENTION, LINK, CHANNEL})


def heaviest_words(text: str, score: Scorer, limit: int) -> tuple[str, ...]:
    """Return at most `limit` words, none if no single one matters; a word said twice is left out everywhere."""
    words = _heaviest_part(text.split(), score)
    spellings: dict[str, str] = {}
    for word in words:
        if (stripped := word.strip(PUNCTUATION)) and stripped not in PLACEHOLDERS:
            spellings.setdefault(stripped.casefold(), stripped)
    if not spellings:
        return ()
    variants = {key: variant for key in spellings if (variant := _without(words, key))}
    whole, *rest = score([" ".join(words), *variants.values()])
    # Where nothing is left, nothing toxic is.
    left = dict.fromkeys(spellings, 0.0) | dict(zip(variants, rest, strict=True))
    weights = {key: whole - toxicity for key, toxicity in left.items() if whole - toxicity >= CLEAR_DROP}
    if not weights and whole >= TOXIC_ALONE:
        # Of several insults none is missed when it alone is left out: then the words that are one by themselves.
        alone = dict(zip(spellings, score(list(spellings.values())), strict=True))
        weights = {key: toxicity for key, toxicity in alone.items() if toxicity >= TOXIC_ALONE}
    return tuple(spellings[key] for key in sorted(weights, key=weights.__getitem__, reverse=True)[:limit])


def _without(words: Sequence[str], key: str) -> str:
    return " ".join(word for word in words if word.strip(PUNCTUATION).casefold() != key)


def _heaviest_part(words: Sequence[str], score: Scorer) -> Sequence[str]:
    while len(words) > MOST_WORDS:
        size = math.ceil(len(words) / min(MOST_PARTS, math.ceil(len(words) / MOST_WORDS)))
        parts = [words[start : start + size] for start in range(0, len(words), size)]
        toxicities = score([" ".join(part) for part in parts])
        words = parts[max(range(len(parts)), key=toxicities.__getitem__)]
    return words
