"""The queue delivers twice, or poison; the ledger's rows outlive their time."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

from local.aws import MAX_RECEIVE_COUNT
from local.events import sqs_event
from local.faults import Call
from local.lambda_context import LocalContext
from tests.failures.bot import ADA, GENERAL

if TYPE_CHECKING:
    import pytest

    from tests.failures.bot import Bot

POISON = '{"team": "T0LOCAL", "dunkleosteus": 1}'


def test_f46_a_job_delivered_twice_in_a_row_makes_one_verdict(bot: Bot) -> None:
    message = bot.say()
    bot.react(message)
    (job,) = bot.queued()
    assert bot.handle([job]) == bot.handle([job]) == 1
    assert bot.outcomes(message) == ["toxic"]


def test_f46_a_job_delivered_twice_at_once_makes_one_verdict(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a worker that is about to post, when another gets the same job, then that one comes again later."""
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "toxicity_bot.worker")
        other = importlib.import_module("toxicity_bot.worker")
    message = bot.say()
    bot.react(message)
    (job,) = bot.queued()
    answers: list[dict[str, Any]] = []
    again = Call(lambda: answers.append(other.handler(sqs_event([job]), LocalContext("worker"))))
    bot.slack.faults.add("chat.postMessage", again)
    assert bot.handle([job]) == 1
    assert answers == [{"batchItemFailures": [{"itemIdentifier": job["MessageId"]}]}]
    assert ("JobPostponed", "ClaimedError") in bot.record.counted()
    assert bot.outcomes(message) == ["toxic"]


def test_f47_of_a_batch_only_the_bad_record_comes_again(bot: Bot) -> None:
    first, last = bot.say(), bot.say()
    bot.react(first)
    bot.put(POISON)
    bot.react(last)
    assert bot.handle(bot.queued()) == 2
    assert [message["Body"] for message in bot.asleep] == [POISON]
    assert bot.outcomes(first) == bot.outcomes(last) == ["toxic"]


def test_f47_a_mistake_of_our_own_in_one_job_spares_the_others(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = bot.say(), bot.say("A dunkleosteus.")
    verdict = bot.worker.Judge.verdict

    def fails_at_one(judge: object, text: str) -> object:
        if "dunkleosteus" in text:
            raise KeyError(text)
        return verdict(judge, text)

    monkeypatch.setattr(bot.worker.Judge, "verdict", fails_at_one)
    bot.react(bad)
    bot.react(good)
    assert bot.handle(bot.queued()) == 1
    assert (bot.outcomes(good), bot.outcomes(bad)) == (["toxic"], [])
    assert "dunkleosteus" not in bot.record.text(), "an error's text may quote the message"
    assert ("JobFailed", "KeyError") in bot.record.counted()


def test_f48_poison_goes_to_the_dead_letter_queue_and_comes_back_mended(bot: Bot) -> None:
    message = bot.say()
    bot.react(message)
    (job,) = bot.queued()
    bot.put(POISON)
    for _ in range(MAX_RECEIVE_COUNT):
        assert bot.work() == 0
        bot.wake()
    assert bot.work() == 0
    (dead,) = bot.dead()
    assert dead["Body"] == POISON
    failed = [reason for name, reason in bot.record.counted() if name == "JobFailed"]
    assert failed == ["JobError"] * MAX_RECEIVE_COUNT
    assert "dunkleosteus" not in bot.record.text(), "what is poison is not quoted"

    bot.put(job["Body"])  # what a redrive of a mended job does
    assert bot.work() == 1
    assert bot.outcomes(message) == ["toxic"]


def test_f55_a_row_that_has_expired_does_not_count_though_it_can_be_read(bot: Bot) -> None:
    message = bot.say()
    assert bot.judge(message) == ["toxic"]
    (verdict,) = bot.verdicts()
    bot.slack.workspace.delete(GENERAL, verdict["ts"])
    bot.judge(message, by=ADA)
    assert bot.outcomes(message) == [], "the ledger remembers what was said"

    (row,) = bot.rows()
    expired = row | {"expiration": {"N": "1"}}
    bot.aws.client("dynamodb").put_item(TableName=bot.aws.table, Item=expired)
    assert bot.rows() == [expired], "still readable"
    assert bot.judge(message, by="U0DEPLOYBOT") == ["toxic"]


def test_f55_a_row_names_when_it_expires_and_holds_no_words(bot: Bot) -> None:
    bot.judge(bot.say())
    (row,) = bot.rows()
    assert row["status"]["S"] == "COMPLETED"
    assert int(row["expiration"]["N"]) > 0
    assert json.loads(row["data"]["S"]).keys() == {"post", "outcome", "threshold", "threshold_maybe", "score"}
