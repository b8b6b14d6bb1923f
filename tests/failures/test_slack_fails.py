"""Slack does not answer, asks to wait, or refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.faults import ErrorBody, Fault, HtmlError, RateLimited, Reset, Slow
from tests.failures.bot import DEPLOYBOT, GENERAL, GRACE, PRAISE, PRIVATE
from toxicity_bot import slack_messages

if TYPE_CHECKING:
    from tests.failures.bot import Bot


@pytest.mark.parametrize("method", ["conversations.history", "conversations.replies"])
def test_f30_a_rate_limited_fetch_sleeps_in_the_queue_as_long_as_slack_asks(method: str, bot: Bot) -> None:
    message = bot.say()
    bot.slack.faults.add(method, RateLimited("77"))
    bot.react(message)
    assert bot.work() == 0
    (seconds,) = bot.slept()
    assert 77 + 1 <= seconds <= 77 + 2, "and a moment more, so that not all jobs come back at once"
    assert bot.outcomes(message) == []
    assert len(bot.slack.calls_of(method)) == 1, "the function itself does not wait and try again"
    assert bot.work() == 0, "the job sleeps"
    bot.wake()
    assert bot.work() == 1
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.parametrize(
    ("retry_after", "shortest", "longest"),
    [("42", 42, 42), ("100000", 900, 900), ("0", 1, 1), ("soon", 30, 30), ("Fri, 08 Nov 2024 10:00:00 GMT", 1, 1)],
)
def test_f31_a_rate_limited_post_sleeps_in_the_queue_for_a_time_within_reason(
    retry_after: str, shortest: int, longest: int, bot: Bot
) -> None:
    message = bot.say()
    bot.slack.faults.add("chat.postMessage", RateLimited(retry_after))
    bot.react(message)
    assert bot.work() == 0
    (seconds,) = bot.slept()
    assert min(shortest + 1, 900) <= seconds <= min(longest + 2, 900)
    bot.wake()
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("conversations.history", HtmlError(502)),
        ("conversations.history", HtmlError(504)),
        ("conversations.history", HtmlError(200)),
        ("conversations.history", Reset()),
        ("conversations.history", ErrorBody("fatal_error")),
        ("conversations.replies", ErrorBody("internal_error", 500)),
        ("chat.postMessage", HtmlError(502)),
        ("chat.postMessage", Reset()),
    ],
    ids=str,
)
def test_f32_trouble_at_slack_delays_the_verdict_more_each_time(method: str, fault: Fault, bot: Bot) -> None:
    message = bot.say(PRAISE)
    bot.slack.faults.add(method, fault, times=5)
    bot.react(message)
    for _ in range(5):
        assert bot.work() == 0
        bot.end_claims()
        bot.wake()
    assert bot.work() == 1
    assert bot.outcomes(message) == ["fine"]
    slept = bot.slept()
    assert len(slept) == 5
    # A post may yet appear: it is looked for when the invocation that made it must have ended.
    shortest = 30 if method == "chat.postMessage" and not isinstance(fault, ErrorBody) else 0
    for tries, seconds in enumerate(slept, start=1):
        assert max(shortest, 2**tries / 2) <= seconds <= max(shortest, 2**tries), slept


def test_f32_an_answer_that_comes_too_late_is_not_waited_for(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    message = bot.say()
    bot.slack.faults.add("conversations.history", Slow(2))
    bot.react(message)
    with monkeypatch.context() as hasty:
        hasty.setattr(slack_messages, "TIMEOUT_SECONDS", 0.2)
        bot.set()
        assert bot.work() == 0
    assert ("JobPostponed", "SlackUnavailableError") in bot.record.counted()
    bot.set()
    bot.wake()
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


def test_f33_a_post_whose_reply_is_lost_is_found_and_not_repeated(bot: Bot) -> None:
    message = bot.say()
    bot.slack.faults.add("chat.postMessage", Reset(before_work=False))
    bot.react(message)
    assert bot.work() == 0
    assert bot.outcomes(message) == ["toxic"], "posted, though nobody knows"
    bot.end_claims()
    bot.wake()
    assert bot.work() == 1
    assert bot.ends() == ["found"]
    assert bot.outcomes(message) == ["toxic"]
    assert len(bot.slack.calls_of("chat.postMessage")) == 1


@pytest.mark.parametrize("posted", [True, False])
def test_f33_a_post_that_timed_out_is_looked_for_once_it_can_no_longer_appear(posted: bool, bot: Bot) -> None:
    """A gateway gave up waiting for Slack: whether the post will stand there is known when the claim has ended."""
    message = bot.say()
    bot.slack.faults.add("chat.postMessage", HtmlError(504, before_work=not posted))
    bot.react(message)
    assert bot.work() == 0
    bot.wake()
    assert bot.work() == 0, "another try while the first may yet succeed would be a second verdict"
    bot.end_claims()
    bot.wake()
    assert bot.work() == 1
    assert bot.ends() == ["found" if posted else "toxic"]
    assert bot.outcomes(message) == ["toxic"]


def test_f33_it_is_found_among_hundreds_of_replies(bot: Bot) -> None:
    message = bot.say()
    bot.slack.faults.add("chat.postMessage", Reset(before_work=False))
    for number in range(250):
        bot.say(f"Reply {number}", thread_ts=message["ts"])
    bot.react(message)
    bot.work()
    bot.end_claims()
    bot.wake()
    bot.work()
    assert bot.ends() == ["found"]
    assert len(bot.slack.calls_of("chat.postMessage")) == 1


def test_f33_what_another_app_marks_as_a_verdict_is_none(bot: Bot) -> None:
    message = bot.say()
    assert bot.judge(message) == ["toxic"]
    mark = bot.verdicts()[0]["metadata"]
    other = bot.say()
    key = mark["event_payload"]["key"].replace(message["ts"], other["ts"])
    forged = {"event_type": mark["event_type"], "event_payload": {"key": key, "outcome": "forged"}}
    bot.say("Nothing to see here.", by=DEPLOYBOT, thread_ts=other["ts"], metadata=forged)
    assert bot.judge(other) == ["forged", "toxic"]


def test_f33_a_post_that_never_arrived_is_made(bot: Bot) -> None:
    message = bot.say()
    bot.slack.faults.add("chat.postMessage", Reset(before_work=True))
    bot.react(message)
    assert (bot.work(), bot.outcomes(message)) == (0, [])
    bot.end_claims()
    bot.wake()
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.parametrize(
    "code",
    [
        "is_archived",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_non_threadable_channel",
        "restricted_action_thread_locked",
    ],
)
def test_f34_where_nobody_may_post_the_job_ends_with_a_metric_and_no_retries(code: str, bot: Bot) -> None:
    message = bot.say()
    if code == "is_archived":
        bot.slack.workspace.archive(GENERAL)
    elif code.endswith("thread_locked"):
        bot.slack.workspace.lock_thread(GENERAL, message["ts"])
    else:
        bot.slack.workspace.restrict(GENERAL, code)
    assert bot.judge(message) == []
    assert (bot.ends(), bot.asleep) == ([f"restricted_{code}"], [])
    assert bot.hints() == []


def test_f35_by_default_nothing_is_said_in_a_way_that_may_get_lost(bot: Bot) -> None:
    bot.judge(bot.say())
    assert bot.slack.workspace.ephemerals == []
    assert len(bot.verdicts()) == 1


def test_f35_what_one_person_alone_is_shown_is_recorded_in_the_ledger_and_in_the_metrics(bot: Bot) -> None:
    bot.set(reply_to="reactor")
    bot.judge(bot.say())
    (shown,) = bot.slack.workspace.ephemerals
    assert (shown["channel"], shown["user"]) == (GENERAL, GRACE)
    bot.slack.workspace.ephemerals.clear()  # Slack does not promise to deliver it
    (row,) = bot.rows()
    assert '"outcome": "toxic"' in row["data"]["S"]
    assert bot.ends() == ["toxic"]


@pytest.mark.parametrize("code", ["token_revoked", "token_expired", "account_inactive", "invalid_auth"])
def test_f43_a_token_that_is_refused_ends_the_job_at_once_and_says_what_to_do(code: str, bot: Bot) -> None:
    bot.slack.workspace.refuse_token(code)
    bot.react(bot.say())
    assert bot.work() == 1
    assert bot.ends() == [code]
    (line,) = [line for line in bot.record.lines() if line.get("level") == "ERROR"]
    assert "install the app again" in line["message"]
    assert code in line["why"]
    assert len(bot.slack.calls) == 1, "no retry loop"
    assert bot.asleep == []


@pytest.mark.parametrize(("allowed", "outcomes"), [(False, []), (True, ["toxic"])])
def test_f45_nothing_is_said_to_outsiders_unless_it_is_allowed(allowed: bool, outcomes: list[str], bot: Bot) -> None:
    bot.set(reply_in_shared_channels=allowed)
    message = bot.say()
    assert bot.deliver(bot.event(message) | {"is_ext_shared_channel": True}).status == 200
    bot.work()
    assert bot.outcomes(message) == outcomes
    assert (("EventIgnored", "shared_channel") in bot.record.counted()) == (not allowed)


def test_f34_a_private_channel_that_the_bot_was_put_out_of_gets_a_hint(bot: Bot) -> None:
    message = bot.say(channel=PRIVATE)
    bot.react(message, channel=PRIVATE)
    bot.slack.workspace.kick(PRIVATE)
    bot.work()
    assert bot.ends() == ["hint_channel_not_found"]
    assert len(bot.hints()) == 1
