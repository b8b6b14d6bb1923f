"""Feedback buttons of verdicts, from Slack's signed form to the row, the metric and the export."""

import json
from typing import Any

import pytest

from local.faults import ErrorBody, HtmlError
from local.workspace import Message
from tests.toxicity_bot.bot import ADA, GENERAL, GRACE, PRIVATE, Bot
from toxicity_bot.feedback import ACTION_ID, AGREED, DISAGREED, Opinion, read, verdict_blocks
from toxicity_bot.opinions import all_opinions

KEY = "T0LOCAL/C0GENERAL/1731000000.000100/0a1b2c3d"


def click(bot: Bot, verdict: Message, choice: str, by: str = GRACE) -> dict[str, Any]:
    """The payload that Slack sends for a click on a feedback button of a verdict."""
    button = verdict["blocks"][-1]["elements"][0]["positive_button" if choice == AGREED else "negative_button"]
    return bot.slack.click(GENERAL, verdict["ts"], by, ACTION_ID, value=button["value"])


def opinions(bot: Bot) -> list[Opinion]:
    return list(all_opinions(bot.worker.ledger.table))


@pytest.fixture
def verdict(bot: Bot) -> Message:
    """The verdict on an insult."""
    assert bot.judge(bot.say()) == ["toxic"]
    (verdict,) = bot.verdicts()
    return verdict


def test_a_verdict_has_two_feedback_buttons_and_an_unchanged_text(bot: Bot, verdict: Message) -> None:
    *sections, buttons = verdict["blocks"]
    assert "".join(section["text"]["text"] for section in sections) == verdict["text"]
    assert buttons["elements"][0]["type"] == "feedback_buttons"
    bot.set(feedback=False)
    bot.judge(bot.say("You pathetic idiot."))
    plain = bot.verdicts()[1]
    assert [block["type"] for block in plain["blocks"]] == ["rich_text"]
    assert plain["text"].split(" ")[1] == verdict["text"].split(" ")[1]


def test_a_long_verdict_is_split_into_sections_that_slack_accepts() -> None:
    text = "\n".join(["x" * 2000] * 3 + ["y" * 7000])
    *sections, _ = verdict_blocks(text, KEY, {"outcome": "toxic", "score": 0.5})
    pieces = [section["text"]["text"] for section in sections]
    assert max(map(len, pieces)) <= 3000
    assert "".join(pieces) == text.replace("\n", "")


def test_feedback_is_stored_once_per_person_and_verdict_and_can_be_changed(bot: Bot, verdict: Message) -> None:
    for by, choice in ((GRACE, AGREED), (ADA, DISAGREED), (GRACE, DISAGREED)):
        assert bot.ask(click(bot, verdict, choice, by)).status == 200
        bot.work()
    found = {one.user: one for one in opinions(bot)}
    assert {user: one.choice for user, one in found.items()} == {GRACE: DISAGREED, ADA: DISAGREED}
    mark = verdict["metadata"]["event_payload"]
    assert (found[ADA].key, found[ADA].outcome, float(found[ADA].score)) == (mark["key"], "toxic", mark["score"])
    assert bot.reasons("FeedbackGiven") == [AGREED, DISAGREED, DISAGREED]
    assert [text.rpartition(": ")[2] for text in bot.private(GRACE)] == [
        "you find this verdict right. The other button changes it.",
        "you find this verdict wrong. The other button changes it.",
    ]


@pytest.mark.parametrize(("to", "channel"), [("thread", GENERAL), (PRIVATE, PRIVATE)])
def test_the_confirmation_is_shown_where_the_buttons_are(bot: Bot, to: str, channel: str) -> None:
    bot.set(reply_to=to)
    bot.judge(message := bot.say())
    (shown,) = bot.verdicts(channel)
    bot.ask(bot.slack.click(channel, shown["ts"], GRACE, ACTION_ID))
    bot.work()
    (thanks,) = bot.slack.workspace.ephemerals
    assert thanks["thread_ts"] == (message["ts"] if to == "thread" else None)


@pytest.mark.parametrize("to", ["reactor", PRIVATE])
def test_verdicts_posted_elsewhere_have_buttons_too(bot: Bot, to: str) -> None:
    bot.set(reply_to=to)
    message = bot.say()
    bot.judge(message)
    shown = bot.slack.workspace.ephemerals[-1] if to == "reactor" else bot.verdicts(PRIVATE)[0]
    channel = GENERAL if to == "reactor" else PRIVATE
    assert bot.ask(bot.slack.click(channel, shown["ts"], GRACE, ACTION_ID)).status == 200
    bot.work()
    (found,) = opinions(bot)
    assert (found.channel, found.ts, found.choice) == (GENERAL, message["ts"], AGREED)


@pytest.mark.failure(80)
@pytest.mark.parametrize("to", ["thread", "reactor"])
def test_if_slack_refuses_the_buttons_the_verdict_is_posted_without_them(bot: Bot, to: str) -> None:
    bot.set(reply_to=to)
    bot.slack.faults.add("chat.postMessage" if to == "thread" else "chat.postEphemeral", ErrorBody("invalid_blocks"))
    bot.judge(bot.say())
    assert bot.job_outcomes() == ["toxic"]
    shown = bot.verdicts() if to == "thread" else bot.slack.workspace.ephemerals
    assert ["Likely toxic" in one["text"] for one in shown] == [True]
    assert "context_actions" not in str(shown)
    assert "without" in bot.logged("WARNING")[0]["message"]


@pytest.mark.failure(115)
def test_repeated_or_reordered_feedback_clicks_count_once_and_the_last_one_wins(bot: Bot, verdict: Message) -> None:
    first, last = click(bot, verdict, AGREED), click(bot, verdict, DISAGREED)
    for payload in (last, first, last, first):
        assert bot.ask(payload).status == 200
        bot.work()
    assert [one.choice for one in opinions(bot)] == [DISAGREED]
    assert bot.reasons("FeedbackGiven") == [DISAGREED]
    assert len(bot.private(GRACE)) == 1


@pytest.mark.failure(118)
@pytest.mark.parametrize("what", ["expired", "elsewhere", "502"])
def test_a_click_counts_even_if_the_confirmation_cannot_be_shown(bot: Bot, verdict: Message, what: str) -> None:
    payload = click(bot, verdict, AGREED)
    if what == "expired":
        bot.advance_clock(31 * 60)
    elif what == "elsewhere":
        payload["response_url"] = "https://example.com/responses/1"
    else:
        bot.slack.faults.add("response_url", HtmlError(502))
    assert bot.ask(payload).status == 200
    assert bot.work() == 1
    assert [one.choice for one in opinions(bot)] == [AGREED]
    assert bot.private(GRACE) == bot.hints(GRACE) == []
    assert bot.job_outcomes()[-1] == "feedback_agreed"


@pytest.mark.parametrize(
    "given",
    [
        None, 7, "", "agreed", "[]", "[" * 100_000, json.dumps({"choice": "agreed"}),
        *(json.dumps({"choice": AGREED, "key": KEY, "outcome": "toxic", "score": "0.9000"} | change) for change in (
            {"choice": "maybe"}, {"key": "T0LOCAL/C0GENERAL"}, {"key": f"{KEY}\n"}, {"outcome": "canary"},
            {"score": 0.9}, {"score": "high"}, {"text": "canary"})),
    ],
    ids=lambda given: str(given)[:60],
)  # fmt: skip
def test_an_unknown_button_value_is_ignored(given: object) -> None:
    assert read(given) is None
