"""Find the words that raise the score of a text most, by leaving out one at a time (occlusion).

The cost is bounded: a long text is first narrowed to its most toxic part, so at most about 30 short texts are scored.
If no word stands out, up to `MOST_WORDS` single words are scored as well. Knows nothing of models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from .message_text import CHANNEL, LINK, MENTION

Scorer: TypeAlias = Callable[[Sequence[str]], Sequence[float]]

MOST_WORDS = 16  # each is left out in turn
MOST_PARTS = 8  # parts that a longer text is cut into
CLEAR_DROP = 0.1  # of toxicity; smaller drops are noise of int8 and of broken grammar
TOXIC_ALONE = 0.5  # toxicity of a word by itself
# Stripped from both ends of a word; the escapes are curly quotes and dashes.
PUNCTUATION = ".,;:!?\"'`()[]{}<>*_~|-/\\\u2026\u2018\u2019\u201c\u201d\u2013\u2014"
# Folding puts these in place of names and addresses; they tell a reader nothing.
PLACEHOLDERS = frozenset({MENTION, LINK, CHANNEL})


def heaviest_words(text: str, score: Scorer, limit: int) -> tuple[str, ...]:
    """Return at most `limit` words, heaviest first; none if no single word matters.

    A word that occurs twice is left out at both places.
    """
    words = _heaviest_part(text.split(), score)
    spellings: dict[str, str] = {}
    for word in words:
        if (stripped := word.strip(PUNCTUATION)) and stripped not in PLACEHOLDERS:
            spellings.setdefault(stripped.casefold(), stripped)
    if not spellings:
        return ()
    variants = {key: variant for key in spellings if (variant := _without(words, key))}
    whole, *rest = score([" ".join(words), *variants.values()])
    # A text without any word is not toxic.
    left = dict.fromkeys(spellings, 0.0) | dict(zip(variants, rest, strict=True))
    weights = {key: whole - toxicity for key, toxicity in left.items() if whole - toxicity >= CLEAR_DROP}
    if not weights and whole >= TOXIC_ALONE:
        # With several insults the score stays high without any one of them, so each word is scored by itself.
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
