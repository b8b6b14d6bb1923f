"""Bursts of reactions while Slack enforces its limits, with an hour of waiting that takes no time.

The worker's clock, Slack's and the queue's are one that the test moves on; jobs wait on a real queue, whose own clock
is not needed because the test wakes a job when its time has come.
"""

import heapq
import itertools
from typing import Any

import pytest

from local.aws import MAX_RECEIVE_COUNT
from local.faults import LIMITS, Call, Fault, RateLimits, Reset
from tests.toxicity_bot.bot import GENERAL, GRACE, PRIVATE, Bot
from toxicity_bot.ledger import Ledger
from toxicity_bot.turns import MAX_WAIT_SECONDS, MIN_GAP_SECONDS, Turns

LINE = "T0LOCAL/conversations.history"


class Clock:
    """Seconds since 1970, moved on by the test."""

    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def turns(any_ledger: Ledger, clock: Clock) -> Turns:
    return Turns("verdicts", any_ledger.client, clock)


def limit(bot: Bot, limits: str, clock: Clock) -> None:
    """Let Slack enforce limits, by the same clock as the worker's."""
    bot.patch.setattr(bot.slack, "faults", RateLimits(LIMITS[limits], clock))
    bot.patch.setattr(bot.slack.api, "largest_page", LIMITS[limits].page)
    bot.patch.setattr(bot.worker, "turns", Turns(bot.aws.table, bot.aws.client("dynamodb"), clock))


def drain(bot: Bot, clock: Clock) -> int:
    """Work until no job is left, each job when its sleep is over; return the most tries of one job."""
    most = 0
    due: list[tuple[float, int, dict[str, Any]]] = []
    waiting = bot.queued()
    started = clock.now
    while waiting or due:
        if not waiting:
            clock.now, _, message = heapq.heappop(due)
            bot.asleep = [message]
            bot.end_claims()
            bot.wake()
            waiting = bot.queued()
            assert clock.now < started + 24 * 3600, "the burst did not end"
        for message in waiting:
            most = max(most, int(message["Attributes"]["ApproximateReceiveCount"]))
            asked = len(bot.slept())
            clock.now += 0.05
            if not bot.handle([message]):
                (seconds,) = bot.slept()[asked:]
                heapq.heappush(due, (clock.now + seconds, len(due) + int(1000 * clock.now), message))
        waiting = []
    return most


@pytest.mark.failure(76)
@pytest.mark.parametrize(
    ("limits", "minutes", "in_thread"),
    [("tier_3", 2, False), ("one_a_minute", 66, False), ("one_a_minute", 66, True)],
)
def test_a_burst_above_slacks_limit_gets_all_its_verdicts_once(
    limits: str, minutes: float, in_thread: bool, bot: Bot, clock: Clock
) -> None:
    limit(bot, limits, clock)
    parent = bot.say("A thread for questions.")["ts"] if in_thread else None
    messages = [bot.say("Good morning.", thread_ts=parent) for _ in range(60)]
    for message in messages:
        assert bot.react(message).status == 200
    started = clock.now
    tries = drain(bot, clock)
    assert [bot.outcomes(message) for message in messages] == [["fine"]] * 60
    assert bot.dead() == []
    assert tries <= MAX_RECEIVE_COUNT // 2
    assert clock.now - started < 60 * minutes
    print(f"{limits}: 60 verdicts in {(clock.now - started) / 60:.1f} minutes, at most {tries} tries of a job")


@pytest.mark.failure(33, 75)
@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("posted", [False, True])
@pytest.mark.parametrize("channel", [GENERAL, PRIVATE])
def test_a_lost_post_is_settled_though_slack_allows_one_call_a_minute(
    channel: str, posted: bool, in_thread: bool, bot: Bot, clock: Clock
) -> None:
    """The search takes several pages, each of which takes a try, and so does reading the message again."""
    limit(bot, "one_a_minute", clock)
    bot.set(reply_to="thread" if channel == GENERAL else channel)
    parent = bot.say("A thread for questions.")["ts"] if in_thread else None
    message = bot.say(thread_ts=parent)
    place = {"channel": channel, "thread_ts": parent or message["ts"]} if channel == GENERAL else {"channel": channel}
    for number in range(40):
        bot.say(f"Answer {number}.", **place)
    bot.slack.faults.add("chat.postMessage", Reset(before_work=not posted))
    bot.react(message)
    tries = drain(bot, clock)
    assert bot.dead() == []
    assert bot.outcomes(message) == ["toxic"]
    assert bot.ends() == ["found" if posted else "toxic"]
    assert tries < MAX_RECEIVE_COUNT


@pytest.mark.failure(75)
def test_a_message_that_was_edited_while_its_lost_verdict_was_searched_is_judged_as_it_reads_now(
    bot: Bot, clock: Clock
) -> None:
    limit(bot, "one_a_minute", clock)
    message = bot.say(thread_ts=bot.say("A thread for questions.")["ts"])
    bot.slack.faults.add("chat.postMessage", Reset(before_work=False))
    edit = Call(lambda: bot.slack.workspace.edit(GENERAL, message["ts"], "Good morning."))
    for fault in (Fault(), edit):  # reading the message, then the search
        bot.slack.faults.add("conversations.replies", fault)
    bot.react(message)
    drain(bot, clock)
    assert bot.outcomes(message) == ["toxic", "fine"]


def test_jobs_that_are_limited_at_once_come_back_one_after_the_other(turns: Turns) -> None:
    waits = [turns.wait(LINE, f"job {number}", 60, retried=False) for number in range(4)]
    assert waits == pytest.approx([0, 60 + MIN_GAP_SECONDS, 60 + 2 * MIN_GAP_SECONDS, 60 + 3 * MIN_GAP_SECONDS])
    assert turns.wait("T0LOCAL/another.method", "job 9", 60, retried=False) == 0


def test_turns_move_apart_when_they_come_too_early_up_to_what_slack_asks(turns: Turns, clock: Clock) -> None:
    for number in range(20):
        turns.wait(LINE, f"job {number}", 60, retried=False)
    clock.now += 61
    waits = [turns.wait(LINE, f"job {number}", 60 - number, retried=True) for number in range(10)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(waits)]
    assert gaps[:3] == pytest.approx([2 * MIN_GAP_SECONDS, 4 * MIN_GAP_SECONDS, 8 * MIN_GAP_SECONDS])
    assert gaps[-3:] == pytest.approx([63] * 3)


def test_a_job_alone_waits_as_long_as_slack_asks_and_an_empty_line_forgets(turns: Turns, clock: Clock) -> None:
    assert [turns.wait(LINE, "alone", 30, retried=number > 0) for number in range(3)] == [0, 0, 0]
    clock.now += 3600
    assert turns.wait(LINE, "another", 30, retried=True) == 0
    assert turns.wait(LINE, "a third", 30, retried=False) == pytest.approx(30 + MIN_GAP_SECONDS)


def test_no_job_sleeps_longer_than_the_queue_can_hide_it(turns: Turns) -> None:
    waits = [turns.wait(LINE, f"job {number}", 900, retried=True) for number in range(60)]
    assert max(waits) == MAX_WAIT_SECONDS


def test_a_table_that_fails_gives_no_turn_and_the_job_waits_as_slack_asks(bot: Bot) -> None:
    message = bot.say()
    bot.patch.setattr(bot.slack, "faults", RateLimits(LIMITS["one_a_minute"]))
    bot.patch.setattr(bot.worker, "turns", Turns("missing", bot.aws.client("dynamodb")))
    bot.react(bot.say(), by=GRACE)
    bot.react(message, channel=GENERAL)
    bot.work()
    (slept,) = bot.slept()
    assert 1 <= slept <= 62
    assert "no turn given" in [line["message"] for line in bot.record.lines() if "level" in line]
