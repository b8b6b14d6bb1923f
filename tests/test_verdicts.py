from __future__ import annotations

import pytest

from verdicts import Verdict, decide, hint, not_english, nothing_to_judge


@pytest.mark.parametrize(("score", "outcome"), [(0.0, "fine"), (0.4999, "fine"), (0.5, "toxic"), (1.0, "toxic")])
def test_a_message_is_toxic_from_the_threshold_on(score: float, outcome: str) -> None:
    assert decide(score, 0.5).outcome == outcome


def test_a_toxic_verdict_says_how_sure_it_is_and_what_weighed() -> None:
    assert decide(0.953, 0.5, ["stupid", "idiot"]).reply() == (
        ":warning: *Likely toxic* \u2013 I am 95 % sure.\n"
        "What weighed most: \u201cstupid\u201d, \u201cidiot\u201d.\n"
        "_A model's estimate of the words, not a judgement of the person._"
    )


def test_a_fine_verdict_quotes_nothing() -> None:
    reply = decide(0.04, 0.5, ["stupid"]).reply()
    assert reply == ":white_check_mark: *Probably fine* \u2013 the chance that it is toxic is 4 %."


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
    assert f" {words}" in decide(score, 0.5).reply()
    assert "100 %" not in decide(score, 0.5).reply()


def test_f39_a_long_message_is_said_to_be_read_in_parts() -> None:
    assert "3 overlapping parts" in decide(0.9, 0.5, windows=3).reply()
    assert "overlapping" not in decide(0.9, 0.5, windows=1).reply()


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
def test_f38_what_is_quoted_comes_to_no_life_in_slack(word: str, quoted: str) -> None:
    assert f"\u201c{quoted}\u201d." in decide(0.9, 0.5, [word]).reply()


def test_f37_nothing_to_judge_says_what_is_missing() -> None:
    verdict = nothing_to_judge(0.5)
    assert (verdict.outcome, verdict.score) == ("cannot_judge", None)
    assert "no words" in verdict.reply()


@pytest.mark.parametrize(("code", "name"), [("de", "German"), ("ja", "Japanese"), ("pt", "Portuguese")])
def test_f40_another_language_is_called_by_its_name(code: str, name: str) -> None:
    assert not_english(code, 0.5).outcome == "cannot_judge"
    assert f"in {name}, and I read English only" in not_english(code, 0.5).reply()


def test_f40_a_language_without_a_name_here_is_called_by_its_code() -> None:
    assert "\u201ceo\u201d" in not_english("eo", 0.5).reply()


def test_figures_are_rounded_and_hold_no_words() -> None:
    assert decide(0.123456, 0.5, ["word"], 2).figures() == {"outcome": "fine", "threshold": 0.5, "score": 0.1235}
    assert decide(0.9, 0.5, ["word"]).figures() == {"outcome": "toxic", "threshold": 0.5, "score": 0.9}
    assert nothing_to_judge(0.5).figures() == {"outcome": "cannot_judge", "threshold": 0.5}


def test_without_words_only_the_words_go() -> None:
    assert decide(0.9, 0.5, ["word"], 2).without_words() == Verdict("toxic", 0.5, 0.9, (), 2)


def test_f28_a_hint_names_the_channel_and_what_would_help() -> None:
    text = hint("C0RANDOM", "not_in_channel", None)
    assert "<#C0RANDOM>" in text
    assert "/invite" in text


@pytest.mark.parametrize("scope", ["groups:history", None])
def test_f29_a_hint_on_permissions_names_the_missing_one(scope: str | None) -> None:
    text = hint("C0PRIVATE", "missing_scope", scope)
    assert "<#C0PRIVATE>" in text
    assert f"`{scope or 'unknown'}`" in text
    assert "/invite" not in text
