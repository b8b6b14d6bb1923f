from __future__ import annotations

import pytest

from toxicity_bot.settings import Thresholds
from toxicity_bot.verdicts import Verdict, decide, hint, not_english, nothing_to_judge

ONE = Thresholds(toxic=0.5, maybe=0.5)
TWO = Thresholds(toxic=0.8, maybe=0.3)
CHANCE = "the chance that it is toxic is"


@pytest.mark.parametrize(
    ("thresholds", "score", "outcome"),
    [
        (ONE, 0.0, "fine"),
        (ONE, 0.4999, "fine"),
        (ONE, 0.5, "toxic"),
        (ONE, 1.0, "toxic"),
        (TWO, 0.2999, "fine"),
        (TWO, 0.3, "maybe_toxic"),
        (TWO, 0.7999, "maybe_toxic"),
        (TWO, 0.8, "toxic"),
    ],
)
def test_a_score_at_a_threshold_belongs_to_the_outcome_above_it(
    thresholds: Thresholds, score: float, outcome: str
) -> None:
    assert decide(score, thresholds).outcome == outcome


@pytest.mark.parametrize("threshold", [0.0, 0.35, 0.82, 1.0])
def test_with_equal_thresholds_no_message_may_be_toxic(threshold: float) -> None:
    outcomes = {decide(score / 100, Thresholds(threshold, threshold)).outcome for score in range(101)}
    assert outcomes == ({"toxic"} if threshold == 0 else {"fine", "toxic"})


def test_a_toxic_verdict_gives_the_chance_and_the_words() -> None:
    assert decide(0.953, ONE, ["stupid", "idiot"]).reply() == (
        f":warning: *Likely toxic* \u2013 {CHANCE} 95 %.\n"
        "What weighed most: \u201cstupid\u201d, \u201cidiot\u201d.\n"
        "_A model's estimate of the words, not a judgement of the person._"
    )


def test_a_maybe_toxic_verdict_gives_the_words_too() -> None:
    assert decide(0.45, TWO, ["rubbish"]).reply() == (
        f":large_orange_diamond: *May be toxic* \u2013 {CHANCE} 45 %.\n"
        "What weighed most: \u201crubbish\u201d.\n"
        "_A model's estimate of the words, not a judgement of the person._"
    )


@pytest.mark.parametrize(
    ("score", "thresholds", "line"),
    [
        (0.36, Thresholds(0.35, 0.1), f"*Likely toxic* \u2013 {CHANCE} 36 %. Likely means 35 % or more here."),
        (0.5, Thresholds(0.35, 0.1), f"*Likely toxic* \u2013 {CHANCE} 50 %."),
        (0.2, Thresholds(0.35, 0.1), f"*May be toxic* \u2013 {CHANCE} 20 %."),
        (0.7, Thresholds(0.82, 0.3), f"*May be toxic* \u2013 {CHANCE} 70 %. Likely means 82 % or more here."),
        (0.8199, Thresholds(0.82, 0.3), f"*May be toxic* \u2013 {CHANCE} 81 %. Likely means 82 % or more here."),
        (0.82, Thresholds(0.82, 0.3), f"*Likely toxic* \u2013 {CHANCE} 82 %."),
        (0.6, Thresholds(0.825, 0.7), f"*Probably fine* \u2013 {CHANCE} 60 %. Likely means 82.5 % or more here."),
        (0.4, Thresholds(0.82, 0.7), f"*Probably fine* \u2013 {CHANCE} 40 %."),
    ],
    ids=str,
)
def test_the_threshold_is_given_where_the_chance_alone_would_mislead(
    score: float, thresholds: Thresholds, line: str
) -> None:
    assert decide(score, thresholds).reply().splitlines()[0].split(": ", 1)[1] == line


@pytest.mark.parametrize("score", [0.29, 0.57, 0.58, 0.82])
def test_whole_percentages_are_not_rounded_down(score: float) -> None:
    assert f" {round(100 * score)} %." in decide(score, ONE).reply()


def test_a_fine_verdict_quotes_nothing() -> None:
    reply = decide(0.04, ONE, ["stupid"]).reply()
    assert reply == f":white_check_mark: *Probably fine* \u2013 {CHANCE} 4 %."


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (0.0, "under 1 %"),
        (0.0099, "under 1 %"),
        (0.01, "1 %"),
        (0.99, "99 %"),
        (0.991, "over 99 %"),
        (1.0, "over 99 %"),
    ],
)
def test_no_score_is_given_as_certain(score: float, words: str) -> None:
    assert f" {words}" in decide(score, ONE).reply()
    assert "100 %" not in decide(score, ONE).reply()


def test_a_verdict_on_a_long_message_says_that_it_was_read_in_parts() -> None:
    assert "3 overlapping parts" in decide(0.9, ONE, windows=3).reply()
    assert "overlapping" not in decide(0.9, ONE, windows=1).reply()


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("<!channel>", "&lt;!channel&gt;"),
        ("<@U0ADA>", "&lt;@U0ADA&gt;"),
        ("a&b", "a&amp;b"),
        ("*bold*", "\u2217bold\u2217"),
        ("`code`", "'code'"),
        ("_it_~gone~", "\u02cdit\u02cd\u223cgone\u223c"),
        ("w" * 100, "w" * 40),
        ("<" * 50, "&lt;" * 40),
    ],
)
def test_quoted_words_create_no_mention_link_or_formatting(word: str, quoted: str) -> None:
    assert f"\u201c{quoted}\u201d." in decide(0.9, ONE, [word]).reply()


def test_nothing_to_judge_says_what_is_missing() -> None:
    verdict = nothing_to_judge(ONE)
    assert (verdict.outcome, verdict.score) == ("cannot_judge", None)
    assert "no words" in verdict.reply()


@pytest.mark.parametrize(("code", "name"), [("de", "German"), ("ja", "Japanese"), ("pt", "Portuguese")])
def test_a_known_language_is_named(code: str, name: str) -> None:
    assert not_english(code, ONE).outcome == "cannot_judge"
    assert f"in {name}, and I read English only" in not_english(code, ONE).reply()


def test_an_unknown_language_is_given_by_its_code() -> None:
    assert "\u201ceo\u201d" in not_english("eo", ONE).reply()


def test_figures_are_rounded_and_hold_no_words() -> None:
    thresholds = {"threshold": 0.8, "threshold_maybe": 0.3}
    assert decide(0.123456, TWO, ["word"], 2).figures() == {"outcome": "fine", **thresholds, "score": 0.1235}
    assert decide(0.3, TWO, ["word"]).figures() == {"outcome": "maybe_toxic", **thresholds, "score": 0.3}
    assert decide(0.9, TWO, ["word"]).figures() == {"outcome": "toxic", **thresholds, "score": 0.9}
    assert nothing_to_judge(TWO).figures() == {"outcome": "cannot_judge", **thresholds}


def test_without_words_changes_only_the_words() -> None:
    assert decide(0.9, ONE, ["word"], 2).without_words() == Verdict("toxic", ONE, 0.9, (), 2)


def test_a_hint_names_the_channel_and_the_invite_command() -> None:
    text = hint("C0RANDOM", "not_in_channel", None)
    assert "<#C0RANDOM>" in text
    assert "/invite" in text


@pytest.mark.parametrize("scope", ["groups:history", None])
def test_a_hint_on_a_missing_scope_names_it(scope: str | None) -> None:
    text = hint("C0PRIVATE", "missing_scope", scope)
    assert "<#C0PRIVATE>" in text
    assert f"`{scope or 'unknown'}`" in text
    assert "/invite" not in text
