"""Sampling and time budget for texts that are too long to read completely."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ROOT
from toxicity_bot.classifier import Classifier
from toxicity_bot.message_text import FoldedText, fold
from toxicity_bot.reading_budget import MAX_CHARACTERS, MIN_TOKENS, excerpt, spread

FRIENDLY = "we looked at the deployment plan and agreed to merge the change after the review tomorrow. "
INSULT = "You are a stupid idiot."
SECONDS = 5


@pytest.fixture(scope="module")
def slow() -> Classifier:
    """A classifier whose clock advances by a second for each window that is only read within the budget."""
    ticks = itertools.count()
    return Classifier(ROOT / "model", threads=1, clock=lambda: next(ticks))


@given(st.integers(1, 300))
def test_every_position_comes_once_and_the_first_ones_are_spread_evenly(number: int) -> None:
    places = list(spread(number))
    assert sorted(places) == list(range(number))
    for first in range(2, number + 1):
        distances = [after - before for before, after in itertools.pairwise(sorted(places[:first]))]
        assert max(distances) <= 2 * min(distances) + 2, sorted(places[:first])


@pytest.mark.failure(72)
@given(st.integers(0, 90_000), st.integers(5, 80), st.sampled_from([" ", "\n", "  "]))
def test_a_long_text_is_sampled_in_whole_words_from_beginning_to_end(words: int, letters: int, space: str) -> None:
    text = space.join(f"{number:x}".rjust(letters, "g") for number in range(1 + words))
    read = excerpt(text)
    if len(text) <= MAX_CHARACTERS:
        assert read == text
        return
    kept = read.replace("\u2026", " ").split()
    assert len(read) < MAX_CHARACTERS + 100
    assert set(kept) <= set(text.split()), "no word is truncated"
    assert (kept[0], kept[-1]) == (text.split()[0], text.split()[-1])
    numbers = [int(word.lstrip("g") or "0", 16) for word in kept]
    assert numbers == sorted(numbers)
    gaps = [after - before for before, after in itertools.pairwise(numbers) if after - before > 1]
    assert len(gaps) == 19
    assert max(gaps) - min(gaps) <= 4


@pytest.mark.failure(72)
def test_a_long_text_without_spaces_is_sampled_too() -> None:
    folded = FoldedText.of("x" * 1_000_000)
    assert 0.05 < folded.share < 0.07
    assert len(folded.folded) > MAX_CHARACTERS - 1000


@pytest.mark.failure(72)
@pytest.mark.parametrize("place", [0, -1])
def test_a_long_text_is_read_at_both_ends_and_in_between_until_the_time_is_up(place: int, slow: Classifier) -> None:
    sentences = [FRIENDLY] * 500
    sentences.insert(place % 501, INSULT + " ")
    verdict = slow.verdict("".join(sentences), seconds=SECONDS)
    tokens = slow.window - 2
    always = -(-MIN_TOKENS // tokens)
    # The clock is also read when the text is folded and when the first window begins.
    assert always < verdict.windows <= always + SECONDS
    assert verdict.outcome == "toxic"
    assert verdict.share == pytest.approx(verdict.windows * tokens / (500 * 17), rel=0.1)
    assert f"I read {100 * verdict.share:.0f} %" in verdict.reply()
    assert "the beginning, the end" in verdict.reply()
    assert verdict.figures()["read"] == round(verdict.share, 4)


@pytest.mark.failure(72)
def test_the_windows_read_within_a_budget_are_windows_of_the_whole_text(slow: Classifier) -> None:
    """Reading less cannot raise a score, and a text within the budget has the same score as without a budget."""
    text = FRIENDLY * 300
    part, whole = slow.assess(text, seconds=0), slow.assess(text, seconds=10**6)
    assert part.windows < whole.windows
    assert part.toxicity <= whole.toxicity
    assert (whole.share, part.share < 1) == (1.0, True)
    short = FRIENDLY * 100
    assert slow.assess(short, seconds=0) == slow.assess(short, seconds=10**6)


@pytest.mark.failure(72)
@pytest.mark.parametrize("text", [":tada: " * 20_000, "Das ist doch alles v\u00f6lliger Unsinn, mein Freund. " * 2_000])
def test_a_cannot_judge_verdict_also_says_how_much_was_read(text: str, slow: Classifier) -> None:
    verdict = slow.verdict(text)
    assert verdict.outcome == "cannot_judge"
    assert "too long to read whole: I read" in verdict.reply()


def longest_run_of_marks(text: str) -> int:
    decomposed = unicodedata.normalize("NFKD", text)
    runs = itertools.groupby(decomposed, key=lambda character: unicodedata.combining(character) > 0)
    return max((sum(1 for _ in run) for marks, run in runs if marks), default=0)


@pytest.mark.failure(73)
def test_long_runs_of_combining_marks_are_never_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """NFKC sorts the marks on a letter in quadratic time: 27 s for 160,000 marks."""
    marks = [chr(code) for code in range(0x110000) if longest_run_of_marks(3 * chr(code)) > 2]
    assert {"\u0301", "\u0f73", "\uff9e", "\U0001d165"} < {*marks}
    texts = [200 * mark for mark in marks] + ["&#769;&#803;" * 150, "a" + "\u0315\uff9e\u05ae\u0f73" * 100 + "b"]
    normalize, sorted_ = unicodedata.normalize, []

    def watched(form: str, string: str) -> str:
        if len(string) > 1:
            sorted_.append(string)
        return normalize(form, string)  # type: ignore[arg-type]

    monkeypatch.setattr(unicodedata, "normalize", watched)
    for text in texts:
        fold(text)
    monkeypatch.undo()
    assert len(sorted_) >= len(texts)
    assert max(map(longest_run_of_marks, sorted_)) <= 4 * 30, "a mark can decompose into four"


@pytest.mark.parametrize(
    "text", ["e\u0301", "a\u0323\u0302", "\u1100\u1161\u11a8", "u\u0308\u0301", "x" + "\u0301" * 30]
)
def test_combining_marks_of_real_languages_are_composed_as_by_nfkc(text: str) -> None:
    composed = unicodedata.normalize("NFKC", text)
    assert fold(text) == "".join(character for character in composed if not unicodedata.combining(character))
