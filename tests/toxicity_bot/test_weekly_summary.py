"""The weekly summary: the scheduled run of the worker, and the numbers in the text."""

import json
from typing import Any

import pytest

from local.faults import Reset
from local.functions import LocalContext
from tests.toxicity_bot.bot import ADA, GENERAL, GRACE, PRIVATE, Bot
from toxicity_bot.credentials import SECONDS_BETWEEN_READS
from toxicity_bot.errors import CredentialsRefusedError, SlackUnavailableError
from toxicity_bot.feedback import ACTION_ID
from toxicity_bot.ledger import RETENTION_SECONDS
from toxicity_bot.tally import MAX_CHANNELS, Tally, summary, tallies, total


@pytest.fixture
def bot(bot: Bot) -> Bot:
    bot.set(moderators_channel=PRIVATE)
    return bot


def run_summary(bot: Bot) -> str:
    return str(bot.worker.handler({"summary": {}}, LocalContext("worker"))["ended"])


def summaries(bot: Bot) -> list[str]:
    return [one["text"] for one in bot.verdicts(PRIVATE, "toxicity_summary")]


def test_the_summary_counts_verdicts_feedback_and_reports_by_channel_once_a_week(bot: Bot) -> None:
    message = bot.say()
    bot.judge(message)
    bot.judge(bot.say("Good morning, the build is green again."))
    bot.react(bot.say("Good morning.", channel=PRIVATE), channel=PRIVATE)
    bot.work()
    (verdict, *_) = bot.verdicts()
    for by in (ADA, GRACE):
        bot.click(verdict, ACTION_ID, by=by)
    bot.report(message)
    bot.work()
    assert [run_summary(bot) for _ in range(2)] == ["summary_posted"] * 2
    assert summaries(bot) == [
        (
            ":bar_chart: *The last 7 days:* 3 verdicts (1 likely toxic), 2 agreed, 0 disagreed, 1 report.\n"
            f"\u2022 <#{GENERAL}>: 2 verdicts (1 likely toxic), 2 agreed, 0 disagreed, 1 report\n"
            f"\u2022 <#{PRIVATE}>: 1 verdict, 0 agreed, 0 disagreed, 0 reports"
        )
    ]


@pytest.mark.failure(119)
@pytest.mark.parametrize("posted", [True, False])
def test_after_a_lost_response_the_next_attempt_searches_for_the_summary(bot: Bot, posted: bool) -> None:
    bot.slack.faults.add("chat.postMessage", Reset(before_work=not posted))
    with pytest.raises(SlackUnavailableError):
        run_summary(bot)
    bot.end_claims()
    assert run_summary(bot) == ("summary_found" if posted else "summary_posted")
    assert len(summaries(bot)) == 1


@pytest.mark.failure(119)
def test_after_a_token_rotation_the_second_attempt_posts_the_summary(bot: Bot) -> None:
    bot.read_stored_secret()
    assert bot.judge(bot.say()) == ["toxic"]
    bot.slack.workspace.rotate_token()
    bot.store()
    bot.now += SECONDS_BETWEEN_READS
    with pytest.raises(CredentialsRefusedError):
        run_summary(bot)
    assert run_summary(bot) == "summary_posted"


@pytest.mark.failure(119)
@pytest.mark.parametrize(("close", "end"), [("archive", "summary_is_archived"), ("kick", "summary_channel_not_found")])
def test_a_summary_that_cannot_be_posted_ends_with_a_log_line_for_the_owner(bot: Bot, close: str, end: str) -> None:
    getattr(bot.slack.workspace, close)(PRIVATE)
    assert run_summary(bot) == end
    (line,) = bot.logged("ERROR")
    assert "MODERATORS_CHANNEL" in line["message"]


def test_without_a_moderators_channel_there_is_no_summary(bot: Bot) -> None:
    bot.set(moderators_channel="")
    assert (run_summary(bot), bot.logged("ERROR")) == ("no_channel", [])


def row(key: str, at: float, **data: Any) -> dict[str, Any]:
    return {
        "id": {"S": key}, "status": {"S": "COMPLETED"}, "data": {"S": json.dumps(data)},
        "at": {"N": str(at)}, "expiration": {"N": str(int(at) + RETENTION_SECONDS)},
    }  # fmt: skip


def test_only_recent_finished_work_counts_and_hints_do_not() -> None:
    old = row("verdict#1", 99, outcome="toxic", channel="C0A")
    new = row("verdict#2", 100, outcome="fine", channel="C0A")
    claimed = new | {"id": {"S": "verdict#3"}, "status": {"S": "INPROGRESS"}}
    unlabelled = row("verdict#4", 200, outcome="fine")
    again = row("report#5", 200, outcome="reported_before", channel="C0A")
    direct = [row(f"verdict#{user}", 200, outcome="fine", channel=f"D0{user}") for user in ("ADA", "GRACE")]
    found = tallies([old, new, claimed, unlabelled, again, *direct], since=100)
    assert found == {"direct messages": Tally(verdicts=2), "C0A": Tally(verdicts=1), "": Tally(verdicts=1)}
    assert total(found) == Tally(verdicts=4)
    assert "<#D" not in summary(found)


def test_channels_beyond_the_maximum_are_added_up() -> None:
    text = summary({f"C{number}": Tally(verdicts=1, reports=1) for number in range(MAX_CHANNELS + 2)})
    assert text.splitlines()[-1] == "\u2022 2 other channels: 2 verdicts, 0 agreed, 0 disagreed, 2 reports"
    assert len(text.splitlines()) == MAX_CHANNELS + 2
