"""Augment texts with typing errors, disguised words and similar changes, for training and for robustness tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

_WORD = re.compile(r"[A-Za-z]{4,}")
_PUNCTUATION = re.compile(r"[.,;:!?'\"]+")
# Words for groups of people. Any adjective can replace another, and any plural. If only religions replaced religions,
# the model would still learn which kinds of groups are insulted most. Ambiguous words mean a group only before a word
# for people, such as "old people".
_ADJECTIVES, _PLURALS, _AMBIGUOUS = (
    words.split()
    for words in (
        """muslim jewish christian hindu buddhist sikh catholic protestant mormon atheist
        african arab asian latino hispanic indigenous romani mexican chinese japanese korean vietnamese indian
        pakistani filipino nigerian somali turkish iranian russian ukrainian polish irish italian german brazilian
        gay lesbian bisexual queer transgender trans non-binary deaf autistic disabled dyslexic""",
        """muslims jews christians hindus buddhists sikhs catholics mormons atheists africans arabs asians
        latinos mexicans indians pakistanis nigerians turks russians germans gays lesbians immigrants refugees
        foreigners veterans pensioners women men""",
        "black white blind old older young elderly poor",
    )
)
_PEOPLE = (
    "people|persons?|folks|m[ae]n|wom[ae]n|guys?|girls?|boys?|kids?|child|children|students?|colleagues?|co-?workers?|"
    "employees?|engineers?|developers?|workers?|friends?|neighbou?rs?|family|families|community|communities|couples?"
)
_GROUP = re.compile(
    rf"\b(?:({'|'.join(_ADJECTIVES + _AMBIGUOUS)})(?= (?:{_PEOPLE})\b)"
    rf"|({'|'.join(_PLURALS)})|{'|'.join(_ADJECTIVES)})\b",
    re.IGNORECASE,
)
MAX_HARMLESS_CHARACTERS = 200  # longer texts are not used to surround another text


@dataclass(frozen=True)
class Augmentation:
    """The share of texts that each variation changes.

    `harmless` texts are put around another text, which keeps its label: one toxic sentence makes a message toxic.
    """

    harmless: Sequence[str] = ()
    typos: float = 0.12
    stars: float = 0.04
    spaced_letters: float = 0.02
    no_punctuation: float = 0.08
    capitals: float = 0.06
    surrounded: float = 0.08
    groups: float = 0.8

    def vary(self, text: str, random: Random) -> str:
        """Apply variations to a text, selected at random."""
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
        if random.random() < self.groups:
            text = _with_other_groups(text, random)
        return text


def _in_one_word(text: str, change: Callable[[str, Random], str], random: Random) -> str:
    if not (words := list(_WORD.finditer(text))):
        return text
    word = random.choice(words)
    return text[: word.start()] + change(word[0], random) + text[word.end() :]


def _with_typo(word: str, random: Random) -> str:
    """Swap two neighbouring letters, or drop or double one letter."""
    index = random.randrange(len(word) - 1)
    before, letter, after = word[:index], word[index], word[index + 1 :]
    return before + random.choice((after[0] + letter + after[1:], after, letter + letter + after))


def _with_stars(word: str, random: Random) -> str:
    """Replace some letters between the first and the last with stars."""
    start = random.randrange(1, len(word) - 1)
    end = random.randrange(start + 1, len(word))
    return word[:start] + "*" * (end - start) + word[end:]


def _with_other_groups(text: str, random: Random) -> str:
    """Replace the groups of people in a text at random, so that the model does not associate a group with toxicity.

    Counterfactual data augmentation: Lu et al., 2018, https://arxiv.org/abs/1807.11714.
    """
    others: dict[str, str] = {}

    def other(named: re.Match[str]) -> str:
        word = named[0]
        alike = _ADJECTIVES + _AMBIGUOUS if named[1] else _PLURALS if named[2] else _ADJECTIVES
        chosen = others.setdefault(word.lower(), random.choice(alike))
        return chosen.upper() if word.isupper() else chosen.capitalize() if word[0].isupper() else chosen

    return _GROUP.sub(other, text)
