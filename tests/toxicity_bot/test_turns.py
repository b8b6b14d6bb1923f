"""Bursts of reactions while Slack enforces its rate limits, with simulated time.

The worker, Slack and the queue share a clock that the test advances.
"""

import heapq
import itertools

import pytest

from local.faults import LIMITS, Call, Fault, RateLimits, Reset
from tests.toxicity_bot.bot import GENERAL, PRIVATE, Bot
from toxicity_bot import turns
from toxicity_bot.jobs import MAX_ATTEMPTS
from toxicity_bot.ledger import Ledger
from toxicity_bot.table import Table
from toxicity_bot.turns import MAX_WAIT_SECONDS
from toxicity_bot.turns import MIN_GAP_SECONDS as GAP

LINE = "T0LOCAL/conversations.history"


class Clock:
    """Seconds since 1970, advanced by the test."""

    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(any_ledger: Ledger, clock: Clock) -> Table:
    return Table(any_ledger.table.name, any_ledger.table.client, clock)


def limit(bot: Bot, limits: str, clock: Clock) -> None:
    """Make Slack enforce rate limits, with the worker's clock."""
    bot.patch.setattr(bot.slack, "faults", RateLimits(LIMITS[limits], clock))
    bot.patch.setattr(bot.slack.api, "max_page", LIMITS[limits].page)
    bot.patch.setattr(bot.worker.ledger.table, "clock", clock)


def drain(bot: Bot, clock: Clock) -> int:
    """Pass each job to the worker when it is due by the clock. Return the largest number of attempts of a job.

    Jobs do not return to the queue, because short waits would end there in real time.
    """
    slept: list[int] = []
    bot.patch.setattr(bot.worker, "_postpone", lambda _, seconds: slept.append(seconds))
    due = [(clock.now, number, 1, job) for number, job in enumerate(bot.queued())]
    most = 0
    while due:
        at, number, attempts, job = heapq.heappop(due)
        clock.now = max(at, clock.now) + 0.05
        job["Attributes"]["ApproximateReceiveCount"] = str(attempts)
        most = max(most, attempts)
        if attempts > 1:
            bot.end_claims()
        if not bot.handle([job]):
            assert attempts < MAX_ATTEMPTS, "the job would go to the dead-letter queue"
            heapq.heappush(due, (clock.now + slept[-1], number, attempts + 1, job))
    return most


@pytest.mark.failure(76)
@pytest.mark.parametrize(
    ("limits", "minutes", "in_thread"),
    [("tier_3", 2, False), ("one_a_minute", 66, False), ("one_a_minute", 66, True)],
)
def test_a_burst_above_slacks_rate_limit_gets_each_verdict_once(
    limits: str, minutes: float, in_thread: bool, bot: Bot, clock: Clock
) -> None:
    limit(bot, limits, clock)
    parent = bot.say("A thread for questions.")["ts"] if in_thread else None
    messages = [bot.say("Good morning.", thread_ts=parent) for _ in range(60)]
    for message in messages:
        assert bot.react(message).status == 200
    started = clock.now
    attempts = drain(bot, clock)
    assert [bot.outcomes(message) for message in messages] == [["fine"]] * 60
    assert attempts <= MAX_ATTEMPTS // 2
    assert clock.now - started < 60 * minutes
    print(f"{limits}: 60 verdicts in {(clock.now - started) / 60:.1f} minutes, at most {attempts} attempts of a job")


@pytest.mark.failure(33, 75)
@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("posted", [False, True])
@pytest.mark.parametrize("channel", [GENERAL, PRIVATE])
def test_a_lost_post_is_resolved_even_if_slack_allows_one_call_a_minute(
    channel: str, posted: bool, in_thread: bool, bot: Bot, clock: Clock
) -> None:
    """The search reads several pages. Each page takes an attempt, and so does reading the message again."""
    limit(bot, "one_a_minute", clock)
    bot.set(reply_to="thread" if channel == GENERAL else channel)
    parent = bot.say("A thread for questions.")["ts"] if in_thread else None
    message = bot.say(thread_ts=parent)
    place = {"channel": channel, "thread_ts": parent or message["ts"]} if channel == GENERAL else {"channel": channel}
    for number in range(40):
        bot.say(f"Answer {number}.", **place)
    bot.slack.faults.add("chat.postMessage", Reset(before_work=not posted))
    bot.react(message)
    drain(bot, clock)
    assert bot.outcomes(message) == ["toxic"]
    assert bot.job_outcomes() == ["found" if posted else "toxic"]


@pytest.mark.failure(75)
def test_a_message_edited_during_the_search_for_its_lost_verdict_is_judged_as_edited(bot: Bot, clock: Clock) -> None:
    limit(bot, "one_a_minute", clock)
    message = bot.say(thread_ts=bot.say("A thread for questions.")["ts"])
    bot.slack.faults.add("chat.postMessage", Reset(before_work=False))
    edit = Call(lambda: bot.slack.workspace.edit(GENERAL, message["ts"], "Good morning."))
    for fault in (Fault(), edit):  # reading the message, then the search
        bot.slack.faults.add("conversations.replies", fault)
    bot.react(message)
    drain(bot, clock)
    assert bot.outcomes(message) == ["toxic", "fine"]


def waits(table: Table, jobs: int, retry_after: int = 60, *, retried: bool = False) -> list[float]:
    """Return the waits of several jobs that Slack rate-limits at the same time."""
    return [turns.wait(table, LINE, f"job {number}", retry_after, retried=retried) for number in range(jobs)]


def test_jobs_rate_limited_at_the_same_time_retry_one_after_another(table: Table) -> None:
    assert waits(table, 4) == pytest.approx([0, 60 + GAP, 60 + 2 * GAP, 60 + 3 * GAP])
    assert turns.wait(table, "T0LOCAL/another.method", "job 9", 60, retried=False) == 0


def test_the_interval_between_turns_grows_after_further_limits_up_to_retry_after(table: Table, clock: Clock) -> None:
    waits(table, 20)
    clock.now += 61
    gaps = [later - earlier for earlier, later in itertools.pairwise(waits(table, 10, retried=True))]
    assert gaps[:3] == pytest.approx([2 * GAP, 4 * GAP, 8 * GAP])
    assert gaps[-3:] == pytest.approx([63] * 3)


def test_a_single_job_waits_for_retry_after_and_an_empty_line_resets_the_interval(table: Table, clock: Clock) -> None:
    assert [waits(table, 1, 30, retried=retried) for retried in (False, True, True)] == [[0]] * 3
    clock.now += 3600
    assert turns.wait(table, LINE, "another", 30, retried=True) == 0
    assert turns.wait(table, LINE, "a third", 30, retried=False) == pytest.approx(30 + GAP)


def test_no_job_waits_longer_than_the_maximum_visibility_timeout(table: Table) -> None:
    assert max(waits(table, 60, 900, retried=True)) == MAX_WAIT_SECONDS


def test_if_the_table_fails_the_job_waits_for_retry_after(bot: Bot) -> None:
    bot.patch.setattr(bot.slack, "faults", RateLimits(LIMITS["one_a_minute"]))
    bot.react(bot.say())
    bot.react(bot.say())
    first, second = bot.queued()
    bot.handle([first])
    bot.patch.setattr(bot.worker.ledger.table, "name", "missing")
    assert bot.handle([second]) == 0
    (slept,) = bot.delays()
    assert 1 <= slept <= 62
    assert "no turn given" in [line["message"] for line in bot.logged()]
