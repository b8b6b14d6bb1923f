"""Vary texts as people do who type in haste or hide a word: to train on, and to measure what the changes cost."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

_WORD = re.compile(r"[A-Za-z]{4,}")
_PUNCTUATION = re.compile(r"[.,;:!?'\"]+")
LONGEST_HARMLESS = 200  # characters of a text that augmentation puts around another


@dataclass(frozen=True)
class Augmentation:
    """The share of texts that each variation changes.

    `harmless` are texts to put around another one, which keeps its label: one toxic sentence makes a message toxic.
    """

    harmless: Sequence[str] = ()
    typos: float = 0.12
    stars: float = 0.04
    spaced_letters: float = 0.02
    no_punctuation: float = 0.08
    capitals: float = 0.06
    surrounded: float = 0.08

    def vary(self, text: str, random: Random) -> str:
        """Return the text with those variations that `random` draws."""
        if random.random() < self.typos:
            for _ in range(random.randint(1, 3)):
                text = _in_one_word(text, _with_typo, random)
        if random.random() < self.stars:
            for _ in range(random.randint(1, 2)):
                text = _in_one_word(text, _with_stars, random)
        if random.random() < self.spaced_letters:
            text = _in_one_word(text, lambda word, _: " ".join(word), random)
        if random.random() < self.no_punctuation:
            text = _PUNCTUATION.sub("", text)
        if random.random() < self.capitals:
            text = text.upper()
        if self.harmless and random.random() < self.surrounded:
            sentences = [random.choice(self.harmless) for _ in range(random.randint(1, 3))]
            sentences.insert(random.randint(0, len(sentences)), text)
            text = random.choice((" ", "\n")).join(sentences)
        return text


def _in_one_word(text: str, change: Callable[[str, Random], str], random: Random) -> str:
    if not (words := list(_WORD.finditer(text))):
        return text
    word = random.choice(words)
    return text[: word.start()] + change(word[0], random) + text[word.end() :]


def _with_typo(word: str, random: Random) -> str:
    """Swap two neighbouring letters, drop one or double one."""
    index = random.randrange(len(word) - 1)
    before, letter, after = word[:index], word[index], word[index + 1 :]
    return before + random.choice((after[0] + letter + after[1:], after, letter + letter + after))


def _with_stars(word: str, random: Random) -> str:
    """Replace letters between the first and the last by stars."""
    start = random.randrange(1, len(word) - 1)
    end = random.randrange(start + 1, len(word))
    return word[:start] + "*" * (end - start) + word[end:]
