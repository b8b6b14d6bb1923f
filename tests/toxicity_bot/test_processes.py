"""The two functions in separate processes, with a local Slack and embedded AWS."""

from collections.abc import Iterator

import pytest

from local.bot import LocalBot
from local.events import Deliveries, event_callback
from local.faults import Call
from tests.toxicity_bot.bot import ADA, EMOJI, GENERAL, GRACE, INSULT, Room, workspace
from tests.toxicity_bot.record import Record


@pytest.fixture
def bot() -> Iterator[LocalBot]:
    with LocalBot(workspace()) as bot:
        yield bot


@pytest.mark.failure(49, 57)
def test_a_worker_killed_between_post_and_ledger_leaves_one_verdict(bot: LocalBot, record: Record) -> None:
    """If the worker is killed after its post, the post is found once the lease has ended."""
    sqs = bot.aws.client("sqs")
    sqs.set_queue_attributes(QueueUrl=bot.aws.queue_url, Attributes={"VisibilityTimeout": "2"})
    bot.slack.faults.add("chat.postMessage", Call(bot.worker.kill, before_work=False))
    message = bot.workspace.post(GENERAL, ADA, INSULT)
    reaction = bot.workspace.react(GENERAL, message["ts"], GRACE, EMOJI)
    slack = Deliveries(bot.request_url, bot.workspace.signing_secret, delays=(), timeout=30)
    slack.send(event_callback(reaction, bot.workspace.identity))
    bot.wait_until(lambda: bot.worker.ended, "the worker is not killed while it posts", 60, 0.02)

    bot.restart_worker()
    for log in bot.logs.iterdir():
        record.watch(log)
    bot.wait_until(lambda: ("JobPostponed", "ClaimedError") in record.counted(), "its claim does not hold", 60, 0.02)
    Room(bot.slack, bot.aws).end_claims()
    bot.wait_until_idle(timeout=60)
    assert ("JobEnded", "found") in record.counted()
    posts = [post for post in bot.workspace.conversation(GENERAL) if "metadata" in post]
    assert [post["metadata"]["event_payload"]["outcome"] for post in posts] == ["toxic"]
