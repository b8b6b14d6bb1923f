"""Which words weigh most, with a scorer written for the test: the share of words that are rude."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from toxicity_bot.heaviest_words import MOST_PARTS, MOST_WORDS, heaviest_words

if TYPE_CHECKING:
    from collections.abc import Sequence

WEIGHTS = {"fool": 0.6, "clown": 0.3, "meh": 0.02, "@user": 0.6, "germans": 0.6, "you": 0.6}


class AddingScorer:
    """Adds the weights of the different words up to 0.9 and counts the texts that it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, texts: Sequence[str]) -> list[float]:
        self.asked += len(texts)
        return [
            min(
                0.9,
                sum(WEIGHTS.get(word, 0) for word in {part.strip(',.!\u201d()$<>"').lower() for part in text.split()}),
            )
            for text in texts
        ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what a clown and fool", ("fool", "clown")),
        ("what a clown, and FOOL!", ("FOOL", "clown")),
        ("fool, I say, fool", ("fool",)),
        ("fool", ("fool",)),
        ("!!!", ()),
        ("meh it is fine", ()),
        ("@user you are fine", ()),
        ("germans, you", ()),
    ],
)
def test_words_in_order_of_weight(text: str, expected: tuple[str, ...]) -> None:
    assert heaviest_words(text, AddingScorer(), limit=3, enough=0.1) == expected
    assert heaviest_words(text, AddingScorer(), limit=1, enough=0.1) == expected[:1]


def test_two_insults_that_each_suffice_are_both_found() -> None:
    def any_insult(texts: Sequence[str]) -> list[float]:
        return [0.9 if {"fool", "dunce"} & set(text.split()) else 0.1 for text in texts]

    assert set(heaviest_words("you fool and dunce", any_insult, limit=3, enough=0.3)) == {"fool", "dunce"}


@pytest.mark.parametrize("place", [0, 17, 255, 510])
def test_the_cost_is_bounded_and_the_word_still_found(place: int) -> None:
    words = [f"word{index}" for index in range(511)]
    words[place] = "fool"
    scorer = AddingScorer()
    assert heaviest_words(" ".join(words), scorer, limit=3, enough=0.1) == ("fool",)
    assert scorer.asked <= 3 * MOST_PARTS + 3 * MOST_WORDS
