from dataclasses import replace

import pytest

from toxicity_bot.settings import Thresholds
from toxicity_bot.verdicts import Verdict, combine, decide, hint, not_english, nothing_to_judge

ONE = Thresholds(toxic=0.5, maybe=0.5)
TWO = Thresholds(toxic=0.8, maybe=0.3)
ESTIMATE = "_A model's estimate of the words, not a judgement of the person._"


def test_a_toxic_verdict_gives_score_and_words_and_a_fine_one_quotes_nothing() -> None:
    assert decide(0.953, TWO, ["stupid", "idiot"], windows=3).reply() == (
        ":warning: *Likely toxic* \u2013 it scores 95 of 100.\n"
        "What weighed most: \u201cstupid\u201d, \u201cidiot\u201d.\n"
        f"It is long: I read it in 3 overlapping parts, and the most toxic one counts.\n{ESTIMATE}"
    )
    fine = decide(0.04, TWO, ["stupid"])
    assert fine.reply() == ":white_circle: *No clear sign of toxicity* \u2013 it scores 4 of 100."


@pytest.mark.failure(87)
@pytest.mark.parametrize(
    ("score", "toxic", "maybe", "line"),
    [
        (0.36, 0.35, 0.1, "*Likely toxic* \u2013 it scores 36 of 100. Likely means 35 or more here."),
        (0.5, 0.35, 0.1, "*Likely toxic* \u2013 it scores 50 of 100."),
        (0.2, 0.35, 0.1, "*May be toxic* \u2013 it scores 20 of 100."),
        (0.3, 0.75, 0.3, "*May be toxic* \u2013 it scores 30 of 100."),
        (0.7, 0.82, 0.3, "*May be toxic* \u2013 it scores 70 of 100. Likely means 82 or more here."),
        (0.8149, 0.82, 0.3, "*May be toxic* \u2013 it scores 81 of 100. Likely means 82 or more here."),
        (0.8199, 0.82, 0.3, "*May be toxic* \u2013 it scores 81.99 of 100. Likely means 82 or more here."),
        (0.7496, 0.75, 0.3, "*May be toxic* \u2013 it scores 74.96 of 100. Likely means 75 or more here."),
        (0.2996, 0.75, 0.3, "*No clear sign of toxicity* \u2013 it scores 29.96 of 100."),
        (0.3541, 0.354, 0.3, "*Likely toxic* \u2013 it scores 35.4 of 100. Likely means 35.4 or more here."),
        (0.7081, 0.75, 0.3, "*May be toxic* \u2013 it scores 71 of 100. Likely means 75 or more here."),
        (0.82, 0.82, 0.3, "*Likely toxic* \u2013 it scores 82 of 100."),
        (0.6, 0.825, 0.7, "*No clear sign of toxicity* \u2013 it scores 60 of 100. Likely means 82.5 or more here."),
        (0.4, 0.82, 0.7, "*No clear sign of toxicity* \u2013 it scores 40 of 100."),
        # Integral points are not rounded down, and no score is shown as certain.
        *((score, 0.5, 0.5, f"*No clear sign of toxicity* \u2013 it scores {points} of 100.")
          for score, points in ((0.0, "under 1"), (0.0099, "under 1"), (0.01, 1), (0.29, 29))),
        *((score, 0.5, 0.5, f"*Likely toxic* \u2013 it scores {points} of 100.")
          for score, points in ((0.57, 57), (0.58, 58), (0.82, 82), (0.99, 99), (0.991, "over 99"), (1.0, "over 99"))),
    ],
    ids=str,
)  # fmt: skip
def test_the_rounded_score_agrees_with_the_verdict_and_the_threshold_is_given_if_needed(
    score: float, toxic: float, maybe: float, line: str
) -> None:
    assert decide(score, Thresholds(toxic, maybe)).reply().splitlines()[0].split(": ", 1)[1] == line


TOXIC, MAYBE, FINE = (decide(score, TWO, ["idiot"]) for score in (0.97, 0.45, 0.04))
NOTHING, GERMAN, ESPERANTO = nothing_to_judge(TWO), not_english("de", TWO), not_english("eo", TWO)
OWN_FINE = ":white_circle: *No clear sign of toxicity* \u2013 your own words score 4 of 100."


@pytest.mark.failure(63)
@pytest.mark.parametrize(
    ("own", "quoted", "outcome", "lines"),
    [
        (FINE, NOTHING, "fine", [":white_circle: *No clear sign of toxicity* \u2013 it scores 4 of 100."]),
        (FINE, TOXIC, "fine",
         [OWN_FINE, "The quoted message is likely toxic; your own words show no clear sign of it. It scores 97 of 100.",
          ESTIMATE]),
        (FINE, MAYBE, "fine",
         [OWN_FINE, "The quoted message may be toxic; your own words show no clear sign of it. It scores 45 of 100.",
          ESTIMATE]),
        (FINE, FINE, "fine", [OWN_FINE, "The quoted message shows no clear sign of toxicity. It scores 4 of 100."]),
        (TOXIC, FINE, "toxic",
         [":warning: *Likely toxic* \u2013 your own words score 97 of 100.", "What weighed most: \u201cidiot\u201d.",
          "The quoted message shows no clear sign of toxicity. It scores 4 of 100.", ESTIMATE]),
        (MAYBE, TOXIC, "maybe_toxic",
         [":large_orange_diamond: *May be toxic* \u2013 your own words score 45 of 100.",
          "What weighed most: \u201cidiot\u201d.",
          "The quoted message is likely toxic. It scores 97 of 100.", ESTIMATE]),
        (NOTHING, TOXIC, "toxic",
         [":warning: *Likely toxic* \u2013 the quoted message scores 97 of 100.",
          "What weighed most: \u201cidiot\u201d.", "The author added no words of their own.", ESTIMATE]),
        (NOTHING, GERMAN, "cannot_judge",
         [":grey_question: *I can't judge the quoted message:* it seems to be in German, and I read English only.",
          "The author added no words of their own."]),
        (ESPERANTO, TOXIC, "cannot_judge",
         [f":grey_question: *I can't judge your own words:* {ESPERANTO.reason}",
          "The quoted message is likely toxic. It scores 97 of 100.", ESTIMATE]),
        (FINE, GERMAN, "fine", [OWN_FINE, f"I can't judge the quoted message: {GERMAN.reason}"]),
        (NOTHING, NOTHING, "cannot_judge", [NOTHING.reply()]),
    ],
)  # fmt: skip
def test_the_authors_words_decide_and_the_reply_says_whose_words_are_toxic(
    own: Verdict, quoted: Verdict, outcome: str, lines: list[str]
) -> None:
    verdict = combine(own, quoted)
    assert (verdict.outcome, verdict.reply().splitlines()) == (outcome, lines)
    assert "your" not in verdict.reply("the author's")


@pytest.mark.failure(63, 72)
def test_the_reply_gives_the_share_read_of_own_and_of_quoted_words() -> None:
    own, quoted = decide(0.04, TWO, windows=90, share=0.3), decide(0.97, TWO, windows=90, share=0.4)
    _, of_own, of_quoted, _ = combine(own, quoted).reply().splitlines()
    assert of_own.startswith("They are too long to read whole: I read 30 %, the beginning, the end")
    assert of_quoted.endswith("your own words show no clear sign of it. It scores 97 of 100. I read 40 % of it.")
    assert combine(own, quoted).figures().items() >= {"read": 0.3, "quoted_read": 0.4}.items()
    foreign = replace(GERMAN, share=0.4)
    assert combine(FINE, foreign).reply().endswith(f"{GERMAN.reason} I read 40 % of it.")
    assert combine(foreign, FINE).reply().splitlines()[1] == "They are too long to read whole: I read 40 %."


@pytest.mark.failure(65, 66)
def test_a_verdict_says_what_was_not_judged() -> None:
    assert "I did not judge the code in it." in combine(FINE, NOTHING, code=True).reply().splitlines()
    assert "nested too deep or too large" in combine(NOTHING, TOXIC, whole=False).reply().splitlines()[-2]
    assert len(combine(FINE, NOTHING).reply().splitlines()) == 1


@pytest.mark.failure(85)
@pytest.mark.parametrize(
    ("words", "rest", "line"),
    [
        ("fool", 0.04, "\u201cfool\u201d. Without it the verdict would be \u201cno clear sign of toxicity\u201d."),
        ("fool ass", 0.4, "\u201cass\u201d. Without them the verdict would be \u201cmay be toxic\u201d."),
        ("fool", 0.85, "\u201cfool\u201d. The verdict does not depend on it alone."),
        ("fool", None, "\u201cfool\u201d."),
    ],
)
def test_the_reply_gives_the_verdict_without_the_quoted_words(words: str, rest: float | None, line: str) -> None:
    verdict = replace(decide(0.9, TWO, words.split()), rest=rest)
    assert verdict.reply().splitlines()[1].endswith(line)


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


def test_stored_metrics_are_rounded_and_contain_no_words() -> None:
    assert "in a language with the code \u201ceo\u201d, and I read English only" in ESPERANTO.reply()
    assert "no words" in NOTHING.reply()
    thresholds = {"threshold": 0.8, "threshold_maybe": 0.3}
    assert decide(0.123456, TWO, ["word"], 2).figures() == {"outcome": "fine", **thresholds, "score": 0.1235}
    assert decide(0.3, TWO, ["word"]).figures() == {"outcome": "maybe_toxic", **thresholds, "score": 0.3}
    assert NOTHING.figures() == {"outcome": "cannot_judge", **thresholds}
    assert combine(FINE, TOXIC).figures() == FINE.figures() | {"quoted_outcome": "toxic", "quoted_score": 0.97}
    assert combine(FINE, NOTHING).figures() == FINE.figures()


@pytest.mark.parametrize(
    ("code", "scope", "words"),
    [
        ("not_in_channel", None, "/invite"),
        ("missing_scope", "groups:history", "`groups:history`"),
        ("missing_scope", None, "`unknown`"),
    ],
)
def test_a_hint_names_the_channel_and_what_is_missing(code: str, scope: str | None, words: str) -> None:
    text = hint("C0RANDOM", code, scope)
    assert "<#C0RANDOM>" in text
    assert words in text
    assert ("/invite" in text) == (code == "not_in_channel")
