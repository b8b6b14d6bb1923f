import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local.events import event_callback, message_event, sqs_event
from local.faults import ErrorBody, Fault, HtmlError, RateLimited, Reset
from local.functions import LocalContext
from tests.toxicity_bot.bot import ADA, GENERAL, GRACE, PRIVATE, Bot, reimport
from toxicity_bot import message_events
from toxicity_bot.channel_settings import ChannelSettings
from toxicity_bot.credentials import SECONDS_BETWEEN_READS, Credentials
from toxicity_bot.errors import ModelError, SettingError, SlackUnavailableError
from toxicity_bot.jobs import MAX_ATTEMPTS, Job, retry_delay
from toxicity_bot.slack_messages import SlackMessages
from toxicity_bot.verdicts import UNDELIVERED

POISON = '{"team": "T0LOCAL", "dunkleosteus": 1}'


def test_an_empty_batch_succeeds_and_a_threshold_above_the_models_fails_the_start(bot: Bot) -> None:
    assert bot.worker.handler({"Records": []}, LocalContext("worker")) == {"batchItemFailures": []}
    with pytest.raises(SettingError, match=r"MAYBE_TOXIC_THRESHOLD is 1, above 0\."):
        reimport("worker", bot.patch, MAYBE_TOXIC_THRESHOLD="1")


@pytest.mark.failure(50)
def test_jobs_wait_while_the_worker_cannot_start(bot: Bot, tmp_path: Path) -> None:
    message = bot.say()
    assert bot.react(message).status == 200, "the receiver needs no model"
    with pytest.raises(ModelError, match=r"model\.json is missing.*make model"):
        reimport("worker", bot.patch, MODEL_DIR=str(tmp_path))
    assert bot.verdicts() == []
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.failure(30, 31, 32)
@pytest.mark.parametrize(
    ("method", "fault", "asked"),
    [
        *((method, RateLimited("77"), 77)
          for method in ("conversations.history", "conversations.replies", "chat.postMessage")),
        *(("conversations.history", fault, 0)
          for fault in (HtmlError(502), HtmlError(504), Reset(), ErrorBody("internal_error", 500))),
    ],
    ids=str,
)  # fmt: skip
def test_a_rate_limited_job_waits_longer_after_each_attempt(method: str, fault: Fault, asked: int, bot: Bot) -> None:
    message = bot.say(thread_ts=bot.say()["ts"] if method == "conversations.replies" else None)
    bot.slack.faults.add(method, fault, times=4)
    bot.react(message)
    for _ in range(4):
        assert bot.work() == 0
        assert bot.work() == 0, "the job waits in the queue"
        bot.wake()
    assert len(bot.slack.calls_of(method)) == 4, "the function itself must not wait and retry"
    assert bot.work() == 1
    assert bot.outcomes(message) == ["toxic"]
    slept = bot.delays()
    assert len(slept) == 4
    # Half of the delay is random, so that jobs do not all retry at once.
    assert all(2**attempt / 2 <= seconds - asked <= 2**attempt for attempt, seconds in enumerate(slept, start=1)), slept
    warnings = [(line["message"], line["seconds"]) for line in bot.logged("WARNING")]
    assert warnings == [("job postponed", seconds) for seconds in slept]
    assert bot.reasons("JobPostponed") == ["RateLimitedError" if asked else "SlackUnavailableError"] * 4


@pytest.mark.failure(33)
@pytest.mark.parametrize("channel", [GENERAL, PRIVATE])
@pytest.mark.parametrize("fault", [partial(HtmlError, 504), Reset])
@pytest.mark.parametrize(("posted", "end"), [(True, "found"), (False, "toxic")])
def test_after_a_lost_response_the_worker_searches_before_it_posts_again(
    posted: bool, end: str, fault: Callable[..., Fault], channel: str, bot: Bot
) -> None:
    bot.set(reply_to="thread" if channel == GENERAL else channel)
    message = bot.say()
    bot.slack.faults.add("chat.postMessage", fault(before_work=not posted))
    bot.react(message)
    assert bot.work() == 0
    bot.wake()
    assert bot.work() == 0, "another attempt while the first may still succeed could post a second verdict"
    assert bot.delays()[0] == 30, "the timeout of the function"
    bot.end_claims()
    bot.wake()
    assert bot.work() == 1
    assert bot.job_outcomes() == [end]
    assert len(bot.verdicts(channel)) == 1
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.failure(33)
@pytest.mark.parametrize("what", ["a verdict", "a report", "a card of a watched channel", "a summary"])
def test_a_post_sent_late_in_an_invocation_renews_its_claim(what: str, bot: Bot) -> None:
    """Until the claim expires, no other job posts."""
    bot.set(moderators_channel=PRIVATE, channels=ChannelSettings.from_json('{"C0GENERAL": {"watch": true}}'))
    bot.patch.setattr(message_events, "DELAY_SECONDS", 0)
    bot.patch.setattr(bot.worker.ledger.table, "clock", lambda: time.time() + 20)
    message = bot.say()
    bot.slack.faults.add("chat.postMessage", Reset())
    if what == "a verdict":
        bot.react(message)
    elif what == "a report":
        bot.report(message)
    elif what == "a summary":
        with pytest.raises(SlackUnavailableError):
            bot.worker.handler({"summary": {}}, LocalContext("worker"))
    else:
        bot.deliver(event_callback(message_event(GENERAL, message), bot.slack.workspace.identity))
    bot.work()
    claimed_until = max(
        int(row["in_progress_expiration"]["N"]) for row in bot.rows() if "in_progress_expiration" in row
    )
    assert claimed_until / 1000 - time.time() == pytest.approx(20 + 30, abs=10)


@pytest.mark.parametrize(("close", "code"), [("archive", "is_archived"), ("kick", "channel_not_found")])
def test_the_person_and_the_owner_are_told_if_the_channel_of_reply_to_refuses_the_verdict(
    bot: Bot, close: str, code: str
) -> None:
    bot.set(reply_to=PRIVATE)
    getattr(bot.slack.workspace, close)(PRIVATE)
    event = bot.event(bot.say())
    assert [bot.deliver(event).status for _ in range(2)] == [200, 200]
    assert bot.work() == 2
    assert bot.hints() == [UNDELIVERED]
    assert {(line["message"].partition(":")[0], line["why"]) for line in bot.logged("ERROR")} == {
        ("verdict not posted", f"chat.postMessage: {code}")
    }
    assert bot.job_outcomes() == [f"undelivered_{code}"] * 2


@pytest.mark.parametrize("error", ["SecretStoreError", "LedgerError"])
def test_a_secret_store_or_ledger_that_fails_postpones_the_job_and_nothing_is_posted(error: str, bot: Bot) -> None:
    if error == "LedgerError":
        bot.aws.client("dynamodb").delete_table(TableName=bot.aws.table)
    else:
        bot.set(secret_id="test/missing", bot_token="")
        bot.patch.setattr(bot.worker, "credentials", Credentials(bot.worker.settings))
    bot.react(bot.say())
    assert bot.work() == 0
    assert bot.reasons("JobPostponed") == [error]
    assert (len(bot.delays()), bot.verdicts()) == (1, [])


def test_a_queue_that_fails_leaves_the_job_to_its_visibility_timeout(bot: Bot) -> None:
    bot.react(bot.say())
    (job,) = bot.queued()
    bot.slack.faults.add("conversations.history", Reset())
    bot.aws.client("sqs").delete_queue(QueueUrl=bot.aws.queue_url)
    assert bot.handle([job]) == 0
    assert [line["message"] for line in bot.logged()] == ["visibility not changed", "job postponed"]


@pytest.mark.failure(47, 57)
def test_a_malformed_job_and_an_exception_spare_other_jobs_and_are_logged_without_texts(bot: Bot) -> None:
    first, unlucky, last = bot.say(), bot.say("An archaeopteryx."), bot.say()
    fetch = SlackMessages.fetch

    def fails_at_one(messages: SlackMessages, channel: str, ts: str) -> object:
        if ts == unlucky["ts"]:
            raise RuntimeError(f"{unlucky['text']} {bot.slack.workspace.token}")
        return fetch(messages, channel, ts)

    bot.patch.setattr(SlackMessages, "fetch", fails_at_one)
    bot.react(first)
    bot.enqueue(POISON)
    bot.react(unlucky)
    bot.react(last)
    assert bot.handle(bot.queued()) == 2
    assert [bot.outcomes(message) for message in (first, unlucky, last)] == [["toxic"], [], ["toxic"]]
    assert [message["Body"] == POISON for message in bot.postponed] == [True, False]
    malformed, bug = bot.logged("ERROR")
    assert malformed["message"] == bug["message"] == "job failed"
    assert "dead-letter queue" in malformed["why"]
    assert "dunkleosteus" not in bot.record.text(), "the log does not quote the malformed job"
    assert bug["why"] == "RuntimeError"
    assert bug["frames"][-1].endswith(" fails_at_one")


@pytest.mark.failure(48, 57)
def test_a_poison_message_goes_to_the_dead_letter_queue_and_a_corrected_job_is_handled(bot: Bot) -> None:
    message = bot.say()
    bot.react(message)
    (job,) = bot.queued()
    bot.enqueue("{}")
    for _ in range(MAX_ATTEMPTS):
        assert bot.work() == 0
        bot.wake()
    assert bot.work() == 0
    (dead,) = bot.dead_letters()
    assert dead["Body"] == "{}"
    assert bot.reasons("JobFailed") == ["JobError"] * MAX_ATTEMPTS
    bot.enqueue(job["Body"])  # like a redrive
    assert bot.work() == 1
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.failure(80)
@pytest.mark.parametrize(
    ("code", "attempts", "end"),
    [
        ("ekm_access_denied", 1, "restricted_ekm_access_denied"),
        ("invalid_arguments", 1, "refused_invalid_arguments"),
        ("a_code_of_tomorrow", 3, "refused"),
    ],
)
@pytest.mark.parametrize("method", ["conversations.history", "chat.postMessage"])
def test_a_permanent_refusal_by_slack_ends_the_job_without_an_alarm(
    code: str, attempts: int, end: str, method: str, bot: Bot
) -> None:
    bot.slack.faults.add(method, ErrorBody(code), times=attempts)
    bot.react(bot.say())
    for _ in range(attempts - 1):
        assert bot.work() == 0
        bot.wake()
    assert bot.work() == 1
    assert bot.job_outcomes() == [end]
    assert bot.slack.faults.left() == 0
    lines = bot.logged()
    assert {line["level"] for line in lines} <= {"WARNING"}, "an error raises an alarm"
    assert end.startswith("restricted") or lines[-1]["why"] == f"{method}: {code}"


@pytest.mark.failure(84)
def test_malformed_sqs_records_end_with_a_log_line_each_and_spare_the_others(bot: Bot) -> None:
    message = bot.say()
    bot.react(message)
    (good,) = sqs_event(bot.queued())["Records"]
    changes: tuple[dict[str, Any], ...] = (
        {"attributes": None}, {"attributes": {}}, {"attributes": {"ApproximateReceiveCount": "many"}},
        {"messageId": None}, {"messageId": 7}, {"body": None},
    )  # fmt: skip
    odd = [{name: value for name, value in (good | change).items() if value is not None} for change in changes]
    for records in ([*odd, "no record"], [odd[0], good]):
        assert bot.worker.handler({"Records": records}, LocalContext("worker")) == {"batchItemFailures": []}
    assert bot.job_outcomes() == [*["malformed_record"] * 8, "toxic"]
    assert [line["level"] for line in bot.logged()] == ["WARNING"] * 8
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.failure(43)
@pytest.mark.parametrize("code", ["token_revoked", "token_expired", "account_inactive", "invalid_auth"])
def test_a_refused_token_ends_the_job_and_the_log_says_what_to_do(code: str, bot: Bot) -> None:
    bot.slack.workspace.refuse_token(code)
    bot.react(bot.say())
    assert bot.work() == 1
    assert bot.job_outcomes() == [code]
    (line,) = bot.logged("ERROR")
    assert "reinstall the app" in line["message"]
    assert code in line["why"]
    assert len(bot.slack.calls) == 1, "no second attempt"


def test_retries_with_an_old_token_outlast_the_interval_between_reads_of_the_secret(worker: ModuleType) -> None:
    shortest = sum(retry_delay(attempt, jitter=0) for attempt in range(1, worker.MAX_RETRIES_STALE_TOKEN + 1))
    assert shortest > SECONDS_BETWEEN_READS
    assert worker.MAX_RETRIES_STALE_TOKEN < MAX_ATTEMPTS


@pytest.mark.failure(44)
def test_a_rotated_token_is_read_again_and_no_job_is_lost(bot: Bot) -> None:
    bot.read_stored_secret()
    bot.set(moderators_channel=PRIVATE)
    assert bot.judge(bot.say()) == ["toxic"]
    bot.report(bot.say())
    bot.slack.workspace.rotate_token()
    bot.store()
    message = bot.say()
    assert bot.judge(message) == [], "the secret was just read, so the job waits"
    bot.now += SECONDS_BETWEEN_READS
    bot.wake()
    assert bot.work() == 1
    assert bot.outcomes(message) == ["toxic"]
    assert bot.report(message).status == 200, "the receiver has read the token too: it opens the form"


@pytest.mark.failure(45)
def test_each_installation_uses_its_own_token(bot: Bot) -> None:
    bot.read_stored_secret(bot_token="xoxb-another", bot_tokens={"E0GRID": bot.slack.workspace.token})
    message = bot.say()
    job = Job("T0LOCAL", GENERAL, message["ts"], "U0GRACE", "Ev0001", 1731000000)
    for installation in ("T0OTHER", "E0GRID"):
        bot.enqueue(replace(job, installation=installation).to_json())
    assert bot.work() == 1
    assert ["T0OTHER" in one["Body"] for one in bot.postponed] == [True]
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.failure(71)
def test_reactors_of_two_teams_in_a_shared_channel_get_one_verdict(bot: Bot) -> None:
    message = bot.say()
    for reactor, team in ((GRACE, "T0LOCAL"), (ADA, "T0GUEST")):
        assert bot.deliver(bot.event(message, by=reactor) | {"team_id": team}).status == 200
    jobs = bot.queued()
    assert [json.loads(job["Body"])["team"] for job in jobs] == ["T0LOCAL", "T0GUEST"]
    assert [bot.handle([job]) for job in jobs] == [1, 1]
    assert bot.outcomes(message) == ["toxic"]
    assert len(bot.rows()) == 1
