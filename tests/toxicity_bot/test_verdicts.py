from __future__ import annotations

import pytest

from toxicity_bot.settings import Thresholds
from toxicity_bot.verdicts import Verdict, decide, hint, not_english, nothing_to_judge

ONE = Thresholds(toxic=0.5, maybe=0.5)
TWO = Thresholds(toxic=0.8, maybe=0.3)
CHANCE = "the chance that it is toxic is"


@pytest.mark.parametrize(("score", "outcome"), [(0.0, "fine"), (0.4999, "fine"), (0.5, "toxic"), (1.0, "toxic")])
def test_a_message_is_toxic_from_the_threshold_on(score: float, outcome: str) -> None:
    assert decide(score, ONE).outcome == outcome


@pytest.mark.parametrize(
    ("score", "outcome"),
    [
        (0.0, "fine"),
        (0.2999, "fine"),
        (0.3, "maybe_toxic"),
        (0.7999, "maybe_toxic"),
        (0.8, "toxic"),
        (1.0, "toxic"),
    ],
)
def test_between_two_thresholds_a_message_may_be_toxic(score: float, outcome: str) -> None:
    assert decide(score, TWO).outcome == outcome


@pytest.mark.parametrize("threshold", [0.0, 0.35, 0.82, 1.0])
def test_where_the_thresholds_are_equal_none_may_be(threshold: float) -> None:
    outcomes = {decide(score / 100, Thresholds(threshold, threshold)).outcome for score in range(101)}
    assert outcomes == ({"toxic"} if threshold == 0 else {"fine", "toxic"})


def test_a_toxic_verdict_says_what_the_chance_is_and_what_weighed() -> None:
    assert decide(0.953, ONE, ["stupid", "idiot"]).reply() == (
        f":warning: *Likely toxic* \u2013 {CHANCE} 95 %.\n"
        "What weighed most: \u201cstupid\u201d, \u201cidiot\u201d.\n"
        "_A model's estimate of the words, not a judgement of the person._"
    )


def test_a_verdict_in_between_says_what_weighed_too() -> None:
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
def test_a_threshold_is_named_where_the_chance_alone_would_say_otherwise(
    score: float, thresholds: Thresholds, line: str
) -> None:
    assert decide(score, thresholds).reply().splitlines()[0].split(": ", 1)[1] == line


@pytest.mark.parametrize("score", [0.29, 0.57, 0.58, 0.82])
def test_whole_percents_are_told_as_they_are(score: float) -> None:
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
def test_no_score_is_told_as_certain(score: float, words: str) -> None:
    assert f" {words}" in decide(score, ONE).reply()
    assert "100 %" not in decide(score, ONE).reply()


@pytest.mark.failure(39)
def test_a_long_message_is_said_to_be_read_in_parts() -> None:
    assert "3 overlapping parts" in decide(0.9, ONE, windows=3).reply()
    assert "overlapping" not in decide(0.9, ONE, windows=1).reply()


@pytest.mark.failure(38)
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
def test_what_is_quoted_comes_to_no_life_in_slack(word: str, quoted: str) -> None:
    assert f"\u201c{quoted}\u201d." in decide(0.9, ONE, [word]).reply()


@pytest.mark.failure(37)
def test_nothing_to_judge_says_what_is_missing() -> None:
    verdict = nothing_to_judge(ONE)
    assert (verdict.outcome, verdict.score) == ("cannot_judge", None)
    assert "no words" in verdict.reply()


@pytest.mark.failure(40)
@pytest.mark.parametrize(("code", "name"), [("de", "German"), ("ja", "Japanese"), ("pt", "Portuguese")])
def test_another_language_is_called_by_its_name(code: str, name: str) -> None:
    assert not_english(code, ONE).outcome == "cannot_judge"
    assert f"in {name}, and I read English only" in not_english(code, ONE).reply()


@pytest.mark.failure(40)
def test_a_language_without_a_name_here_is_called_by_its_code() -> None:
    assert "\u201ceo\u201d" in not_english("eo", ONE).reply()


def test_figures_are_rounded_and_hold_no_words() -> None:
    thresholds = {"threshold": 0.8, "threshold_maybe": 0.3}
    assert decide(0.123456, TWO, ["word"], 2).figures() == {"outcome": "fine", **thresholds, "score": 0.1235}
    assert decide(0.3, TWO, ["word"]).figures() == {"outcome": "maybe_toxic", **thresholds, "score": 0.3}
    assert decide(0.9, TWO, ["word"]).figures() == {"outcome": "toxic", **thresholds, "score": 0.9}
    assert nothing_to_judge(TWO).figures() == {"outcome": "cannot_judge", **thresholds}


def test_without_words_only_the_words_go() -> None:
    assert decide(0.9, ONE, ["word"], 2).without_words() == Verdict("toxic", ONE, 0.9, (), 2)


@pytest.mark.failure(28)
def test_a_hint_names_the_channel_and_what_would_help() -> None:
    text = hint("C0RANDOM", "not_in_channel", None)
    assert "<#C0RANDOM>" in text
    assert "/invite" in text


@pytest.mark.failure(29)
@pytest.mark.parametrize("scope", ["groups:history", None])
def test_a_hint_on_permissions_names_the_missing_one(scope: str | None) -> None:
    text = hint("C0PRIVATE", "missing_scope", scope)
    assert "<#C0PRIVATE>" in text
    assert f"`{scope or 'unknown'}`" in text
    assert "/invite" not in text
