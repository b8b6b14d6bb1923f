"""The search for the words that weigh most, with a fake scorer, and the words that are never quoted."""

from collections.abc import Sequence

import pytest

from toxicity_bot.heaviest_words import MAX_PARTS, MAX_WORDS, heaviest_words
from toxicity_bot.unquotable import unquotable

WEIGHTS = {"fool": 0.6, "clown": 0.3, "meh": 0.02, "@user": 0.6, "germans": 0.6, "you": 0.6}


class AddingScorer:
    """Scores a text with the sum of its distinct words' weights, at most 0.9, and counts the texts."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, texts: Sequence[str]) -> list[float]:
        self.asked += len(texts)
        return [min(0.9, sum(WEIGHTS.get(word, 0) for word in self._words(text))) for text in texts]

    def _words(self, text: str) -> set[str]:
        return {part.strip(',.!\u201d()$<>"').lower() for part in text.split()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what a clown and fool", ("fool", "clown")),
        ("what a clown, and FOOL!", ("FOOL", "clown")),
        ("fool, I say, fool", ("fool",)),
        ("fool", ("fool",)),
        *((text, ()) for text in ("!!!", "meh it is fine", "@user you are fine", "germans, you")),
    ],
)
def test_words_in_order_of_weight(text: str, expected: tuple[str, ...]) -> None:
    assert heaviest_words(text, AddingScorer(), limit=3, threshold=0.1) == expected
    assert heaviest_words(text, AddingScorer(), limit=1, threshold=0.1) == expected[:1]


def test_two_insults_that_each_suffice_are_both_found() -> None:
    def any_insult(texts: Sequence[str]) -> list[float]:
        return [0.9 if {"fool", "dunce"} & set(text.split()) else 0.1 for text in texts]

    assert set(heaviest_words("you fool and dunce", any_insult, limit=3, threshold=0.3)) == {"fool", "dunce"}


@pytest.mark.parametrize("place", [0, 17, 255, 510])
def test_the_number_of_scored_texts_is_bounded_and_the_word_is_still_found(place: int) -> None:
    words = [f"word{index}" for index in range(511)]
    words[place] = "fool"
    scorer = AddingScorer()
    assert heaviest_words(" ".join(words), scorer, limit=3, threshold=0.1) == ("fool",)
    assert scorer.asked <= 3 * MAX_PARTS + 3 * MAX_WORDS


UNQUOTABLE = """
    you are they're I'm everybody not
    Mexicans jew jews Jew's Muslims gay lesbians trans women woman's blacks asian African-American refugees Poles
    Nigeria nigeria Paris texas Germany
    Karen mohammed Priya emily's
"""


@pytest.mark.failure(85)
@pytest.mark.parametrize("word", UNQUOTABLE.split())
def test_function_words_groups_places_and_people_are_not_quoted(word: str) -> None:
    assert unquotable(word, name_by_case=False)


@pytest.mark.failure(85)
def test_a_word_capitalized_within_a_sentence_is_a_name_unless_it_is_an_insult() -> None:
    for word in ("Tolliver", "McKay"):
        assert (unquotable(word, name_by_case=True), unquotable(word, name_by_case=False)) == (True, False), word
    for word in ("Idiot", "IDIOT", "STUPID", "clown", "worthless"):
        assert not unquotable(word, name_by_case=True), word
