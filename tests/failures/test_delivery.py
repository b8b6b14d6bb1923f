"""What Slack sends: again, late, too often, or for nothing."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import pytest

from local.events import app_rate_limited
from tests.failures.bot import DEPLOYBOT, EMOJI, GENERAL, OWN, Bot

if TYPE_CHECKING:
    from typing import Any

NO_VERDICT: list[str] = []


def test_f1_an_event_delivered_again_makes_no_second_verdict(bot: Bot) -> None:
    message = bot.say()
    event = bot.event(message)
    for _ in range(3):
        assert bot.deliver(event).status == 200
    assert bot.work() == 3, "every delivery is a job, and every job ends"
    assert bot.deliver(event).status == 200, "also after the verdict"
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


def test_f2_a_retry_whose_first_attempt_was_lost_gets_its_verdict(bot: Bot) -> None:
    message = bot.say()
    assert bot.deliver(bot.event(message), retry_num=2).status == 200
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


def test_f3_in_a_storm_of_retries_the_receiver_verifies_and_enqueues_and_no_more(bot: Bot) -> None:
    message = bot.say()
    event = bot.event(message)
    deliveries = [bot.deliver(event, retry_num=number) for number in range(30)]
    assert {delivery.status for delivery in deliveries} == {200}
    assert [action for action, _ in bot.record.requests] == ["SendMessage"] * 30, "one call to AWS for each, no other"
    assert bot.slack.calls == [], "none to Slack"
    assert median(delivery.seconds for delivery in deliveries) < 0.1
    assert bot.work() == 30
    assert bot.outcomes(message) == ["toxic"]


def test_f5_a_queue_that_refuses_makes_slack_send_again_and_nothing_counts_as_done(bot: Bot) -> None:
    message = bot.say()
    event = bot.event(message)
    bot.aws.client("sqs").delete_queue(QueueUrl=bot.aws.queue_url)
    refused = bot.deliver(event)
    assert (refused.status, refused.no_retry) == (503, False)
    assert bot.rows() == []

    bot.aws.clear()
    bot.aws.create()
    assert bot.deliver(event, retry_num=1).status == 200
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


def test_f6_what_can_never_work_is_acknowledged_and_counted(bot: Bot) -> None:
    event = bot.event(bot.say())
    event["event"]["item"] = {"type": "file", "file": "F0FILE"}
    assert bot.deliver(event).status == 200
    assert bot.record.counted() == [("EventIgnored", "malformed_event")]
    assert bot.queued() == []


def test_f6_what_cannot_be_read_is_refused_for_good(bot: Bot) -> None:
    delivery = bot.post(b"{")
    assert (delivery.status, delivery.no_retry) == (400, True)


def test_f16_app_rate_limited_is_acknowledged_and_counted(bot: Bot) -> None:
    assert bot.deliver(app_rate_limited(bot.slack.workspace.identity)).status == 200
    assert bot.record.counted() == [("EventIgnored", "app_rate_limited")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "view_submission"}, "unknown_type"),
        ({"event": {"type": "app_home_opened"}}, "unknown_event"),
        ({"event": "of tomorrow"}, "unknown_type"),
    ],
)
def test_f17_an_unknown_event_is_acknowledged_counted_and_dropped(
    change: dict[str, Any], reason: str, bot: Bot
) -> None:
    assert bot.deliver(bot.event(bot.say()) | change).status == 200
    assert bot.record.counted() == [("EventIgnored", reason)]
    assert bot.queued() == []


def test_f17_another_apps_event_is_not_signed_with_our_secret(bot: Bot) -> None:
    event = bot.event(bot.say()) | {"api_app_id": "A0ANOTHER"}
    assert bot.deliver(event, secret="another app's signing-secret").status == 401
    assert bot.queued() == []


@pytest.mark.parametrize(
    ("emoji", "outcomes"),
    [("tada", []), (f"{EMOJI}::skin-tone-3", ["toxic"]), ("biohazard", []), ("+1", [])],
)
def test_f18_only_the_trigger_emoji_in_any_skin_calls_for_a_verdict(emoji: str, outcomes: list[str], bot: Bot) -> None:
    message = bot.say()
    assert bot.judge(message, emoji=emoji) == outcomes
    if not outcomes:
        assert bot.record.asked("SendMessage") == [], "dropped before the queue"


def test_f18_an_alias_is_the_same_emoji(bot: Bot) -> None:
    bot.set(trigger_emoji=("thumbsup",))
    assert bot.judge(bot.say(), emoji="+1::skin-tone-2") == ["toxic"]


def test_f19_the_bots_own_reaction_is_dropped(bot: Bot) -> None:
    assert bot.judge(bot.say(), by=OWN) == NO_VERDICT
    assert bot.record.counted() == [("EventIgnored", "own_reaction")]


@pytest.mark.parametrize(("ignored", "outcomes"), [((), ["toxic"]), ((DEPLOYBOT,), [])])
def test_f19_another_bots_reaction_counts_by_setting(ignored: tuple[str, ...], outcomes: list[str], bot: Bot) -> None:
    bot.set(ignored_reactors=frozenset(ignored))
    assert bot.judge(bot.say(), by=DEPLOYBOT) == outcomes


@pytest.mark.parametrize(("hours", "outcomes"), [(1, ["toxic"]), (5.9, ["toxic"]), (6.1, []), (24, [])])
def test_f58_an_event_hours_late_is_judged_while_it_is_younger_than_the_setting(
    hours: float, outcomes: list[str], bot: Bot
) -> None:
    message = bot.say()
    event = bot.event(message) | {"event_time": int(time.time() - hours * 3600)}
    assert bot.deliver(event, retry_num=3).status == 200
    bot.work()
    assert bot.outcomes(message) == outcomes
    assert (("EventIgnored", "late_event") in bot.record.counted()) == (not outcomes)


def test_f59_what_the_bot_says_brings_no_work(bot: Bot) -> None:
    """Given a verdict, when somebody and the bot itself react to it, then there is no job, let alone a verdict."""
    assert bot.judge(bot.say()) == ["toxic"]
    (verdict,) = bot.verdicts()
    jobs = len(bot.record.asked("SendMessage"))
    bot.react(verdict)
    bot.react(verdict, by=OWN)
    assert len(bot.record.asked("SendMessage")) == jobs == 1
    assert len(bot.slack.workspace.conversation(GENERAL)) == 2
