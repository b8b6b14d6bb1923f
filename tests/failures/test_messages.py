"""Which message is judged, and what becomes of it meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.faults import Call
from tests.failures.bot import ADA, DEPLOYBOT, EMOJI, GENERAL, GRACE, INSULT, OWN, PRAISE, RANDOM

if TYPE_CHECKING:
    from tests.failures.bot import Bot


def test_f20_the_bots_own_message_is_never_judged(bot: Bot) -> None:
    own = bot.say(by=OWN)
    assert bot.judge(own) == []
    assert bot.record.counted() == [("EventIgnored", "own_message")]


def test_f20_nor_where_the_event_does_not_tell_whose_it_is(bot: Bot) -> None:
    event = bot.event(own := bot.say(by=OWN))
    del event["event"]["item_user"]
    assert bot.deliver(event).status == 200
    bot.work()
    assert (bot.ends(), bot.outcomes(own)) == (["own_message"], [])


@pytest.mark.parametrize("author", [DEPLOYBOT, "U0HOOK"])
def test_f21_a_message_of_another_bot_or_a_webhook_is_judged(author: str, bot: Bot) -> None:
    message = bot.say(by=author)
    event = bot.event(message)
    assert ("item_user" in event["event"]) == (author == DEPLOYBOT), "a webhook writes as no user"
    assert bot.deliver(event).status == 200
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


def test_f22_many_people_who_react_get_one_verdict_for_each_state_of_the_message(bot: Bot) -> None:
    message = bot.say()
    people = [bot.slack.workspace.add_user(f"archaeopteryx-{number}", f"U0CROWD{number}") for number in range(12)]
    for user in people:
        bot.react(message, by=user)
    assert bot.work() == 12
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.parametrize(("still", "outcomes"), [(True, ["toxic"]), (False, [])])
def test_f23_a_reaction_taken_back_before_the_work_counts_by_setting(
    still: bool, outcomes: list[str], bot: Bot
) -> None:
    bot.set(judge_after_removal=still)
    message = bot.say()
    bot.react(message)
    bot.slack.workspace.unreact(GENERAL, message["ts"], GRACE, EMOJI)
    bot.work()
    assert bot.outcomes(message) == outcomes
    assert bot.ends() == (outcomes or ["reaction_removed"])


def test_f24_a_thread_reply_is_judged_itself_and_answered_in_its_parents_thread(bot: Bot) -> None:
    parent = bot.say(PRAISE)
    bot.say(PRAISE, thread_ts=parent["ts"])
    reply = bot.say(INSULT, by=GRACE, thread_ts=parent["ts"])
    bot.say(PRAISE, thread_ts=parent["ts"])
    assert bot.judge(reply, by=ADA) == ["toxic"]
    assert [post["thread_ts"] for post in bot.verdicts()] == [parent["ts"]]
    assert bot.outcomes(parent) == []


def test_f25_a_message_deleted_before_the_fetch_ends_the_job_and_no_neighbour_is_judged(bot: Bot) -> None:
    earlier, message = bot.say(), bot.say()
    bot.react(message)
    bot.slack.workspace.delete(GENERAL, message["ts"])
    assert bot.work() == 1
    assert bot.ends() == ["message_gone"]
    assert bot.outcomes(earlier) == bot.outcomes(message) == []


def test_f25_of_a_deleted_message_with_replies_the_tombstone_is_not_judged(bot: Bot) -> None:
    message = bot.say()
    bot.say(PRAISE, thread_ts=message["ts"])
    bot.react(message)
    bot.slack.workspace.delete(GENERAL, message["ts"])
    assert bot.work() == 1
    assert bot.ends() == ["message_gone"]
    assert bot.verdicts() == []


def test_f26_a_message_deleted_before_the_post_ends_the_job_and_nothing_is_left(bot: Bot) -> None:
    message = bot.say()
    bot.slack.faults.add("chat.postMessage", Call(lambda: bot.slack.workspace.delete(GENERAL, message["ts"])))
    assert bot.judge(message) == []
    assert bot.ends() == ["message_gone"]
    assert bot.slack.workspace.conversation(GENERAL) == [], "no verdict stands in the channel about nothing"


def test_f27_an_edited_message_gets_a_new_verdict_once(bot: Bot) -> None:
    message = bot.say(INSULT)
    assert bot.judge(message) == ["toxic"]
    bot.slack.workspace.edit(GENERAL, message["ts"], PRAISE)
    assert bot.judge(message, by=ADA) == ["toxic", "fine"]
    assert bot.judge(message, by=DEPLOYBOT) == ["toxic", "fine"]


def test_f28_where_the_bot_is_no_member_the_one_who_reacted_is_told_once(bot: Bot) -> None:
    message = bot.say(channel=RANDOM)
    event = bot.event(message, channel=RANDOM)
    for _ in range(2):
        assert bot.deliver(event).status == 200
        assert bot.work() == 1, "no retries"
    (hint,) = bot.hints(GRACE)
    assert f"<#{RANDOM}>" in hint
    assert "/invite" in hint
    assert bot.hints(ADA) == []
    assert bot.outcomes(message) == []


def test_f29_a_missing_scope_is_named_to_the_one_who_reacted(bot: Bot) -> None:
    bot.slack.workspace.revoke("groups:history")
    message = bot.say(channel="C0PRIVATE")
    assert bot.judge(message, channel="C0PRIVATE") == []
    (hint,) = bot.hints(GRACE)
    assert "`groups:history`" in hint
    assert bot.ends() == ["hint_missing_scope"]
    assert bot.asleep == [], "no retries"
