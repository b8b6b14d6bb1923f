from __future__ import annotations

import pytest

from toxicity_bot.unquotable import unquotable

UNQUOTABLE = """
    you are they're I'm everybody not
    Mexicans jew jews Jew's Muslims gay lesbians trans women woman's blacks asian African-American refugees Poles
    Nigeria nigeria Paris texas Germany
    Karen mohammed Priya emily's
"""


@pytest.mark.failure(85)
@pytest.mark.parametrize("word", UNQUOTABLE.split())
def test_function_words_groups_places_and_persons_are_not_quoted(word: str) -> None:
    assert unquotable(word, name_by_case=False)


@pytest.mark.failure(85)
def test_a_capital_letter_within_a_sentence_makes_a_name_of_any_word_but_an_insult() -> None:
    for word in ("Tolliver", "McKay"):
        assert unquotable(word, name_by_case=True)
        assert not unquotable(word, name_by_case=False)
    for word in ("Idiot", "IDIOT", "STUPID", "clown", "worthless"):
        assert not unquotable(word, name_by_case=True)
