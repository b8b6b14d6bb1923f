from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.aws import MAX_RECEIVE_COUNT, VISIBILITY_SECONDS, EmbeddedAws
from local.events import sqs_event
from local.faults import ErrorBody, HtmlError, RateLimited, Reset
from local.lambda_context import LocalContext
from toxicity_bot.credentials import SECONDS_BETWEEN_READS, Credentials
from toxicity_bot.jobs import Job, retry_delay
from toxicity_bot.settings import Secret, Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from local.slack_server import SlackServer
    from local.workspace import Message

ROOT = Path(__file__).parent.parent
GENERAL = "C0GENERAL"
INSULT = "You are a stupid idiot and everybody hates you."


def job_for(message: Message, channel: str = GENERAL) -> str:
    return Job("T0LOCAL", channel, message["ts"], "U0GRACE", "Ev0001", 1731000000).to_json()


def send(aws: EmbeddedAws, *bodies: str) -> list[dict[str, Any]]:
    """Put jobs on the queue and take them off again, as Lambda's event source does."""
    sqs = aws.client("sqs")
    for body in bodies:
        sqs.send_message(QueueUrl=aws.queue_url, MessageBody=body)
    return receive(aws, len(bodies))


def receive(aws: EmbeddedAws, number: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while len(messages) < number:
        answer = aws.client("sqs").receive_message(
            QueueUrl=aws.queue_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        assert answer.get("Messages"), f"{number - len(messages)} jobs are not on the queue"
        messages += answer["Messages"]
    return messages


def handle(worker: ModuleType, messages: list[dict[str, Any]]) -> list[str]:
    """Hand the messages to the handler in one batch; return the bodies of those that it wants again."""
    answer = worker.handler(sqs_event(messages), LocalContext("worker"))
    bodies = {message["MessageId"]: message["Body"] for message in messages}
    assert answer.keys() == {"batchItemFailures"}
    return [bodies[failure["itemIdentifier"]] for failure in answer["batchItemFailures"]]


@pytest.fixture
def slept(worker: ModuleType) -> Iterator[list[int]]:
    """For how many seconds the worker lets jobs sleep, call by call; the calls themselves are made."""
    seconds: list[int] = []

    def see(params: dict[str, Any], **_: object) -> None:
        seconds.append(params["VisibilityTimeout"])

    event = "provide-client-params.sqs.ChangeMessageVisibility"
    worker.queue.meta.events.register(event, see)
    yield seconds
    worker.queue.meta.events.unregister(event, see)


def verdicts(slack: SlackServer) -> list[Message]:
    return [one for one in slack.workspace.conversation(GENERAL) if "metadata" in one]


def metrics(output: str) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in output.splitlines()]
    named = [(line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"], line) for line in lines if "_aws" in line]
    return [(name, line.get("reason", "")) for name, line in named]


def log(output: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, output.splitlines()) if "level" in line]


def test_a_job_becomes_a_verdict_and_is_done(
    worker: ModuleType, aws: EmbeddedAws, slack: SlackServer, output: Callable[[], str]
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    assert handle(worker, send(aws, job_for(message))) == []
    assert [post["thread_ts"] for post in verdicts(slack)] == [message["ts"]]
    assert metrics(output()) == [("JobEnded", "toxic"), ("JobDuration", "")]


def test_a_message_that_may_be_toxic_is_counted_as_that(
    worker: ModuleType,
    aws: EmbeddedAws,
    slack: SlackServer,
    output: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "thresholds", Thresholds(toxic=1, maybe=0.01))
    worker.judge_for.cache_clear()
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    assert handle(worker, send(aws, job_for(message))) == []
    worker.judge_for.cache_clear()
    assert metrics(output()) == [("JobEnded", "maybe_toxic"), ("JobDuration", "")]


def test_a_threshold_that_does_not_fit_the_models_keeps_the_worker_from_starting(aws: EmbeddedAws) -> None:
    environ = os.environ | {"PYTHONPATH": str(ROOT), "MAYBE_TOXIC_THRESHOLD": "1"}
    command = [sys.executable, "-c", "import toxicity_bot.worker"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MAYBE_TOXIC_THRESHOLD is 1, above 0." in done.stderr


def test_a_token_refused_this_often_was_read_since_the_job_came(worker: ModuleType) -> None:
    shortest = sum(retry_delay(attempt, jitter=0) for attempt in range(1, worker.TRIES_WITH_AN_OLD_TOKEN + 1))
    assert shortest > SECONDS_BETWEEN_READS
    assert worker.TRIES_WITH_AN_OLD_TOKEN < MAX_RECEIVE_COUNT


def test_an_empty_batch_is_no_error(worker: ModuleType) -> None:
    assert worker.handler({"Records": []}, LocalContext("worker")) == {"batchItemFailures": []}


def test_f46_a_job_that_comes_twice_makes_one_verdict(worker: ModuleType, aws: EmbeddedAws, slack: SlackServer) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    for _ in range(2):
        assert handle(worker, send(aws, job_for(message))) == []
    assert len(verdicts(slack)) == 1


@pytest.mark.parametrize("method", ["conversations.history", "chat.postMessage"])
def test_f30_f31_a_rate_limited_job_sleeps_in_the_queue_as_long_as_slack_asks(
    method: str,
    worker: ModuleType,
    aws: EmbeddedAws,
    slack: SlackServer,
    output: Callable[[], str],
    slept: list[int],
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.faults.add(method, RateLimited("77"))
    body = job_for(message)
    assert handle(worker, send(aws, body)) == [body]
    (seconds,) = slept
    assert 77 + 1 <= seconds <= 77 + 2, "and a moment more, so that not all jobs come back at once"
    printed = output()
    assert metrics(printed) == [("JobPostponed", "RateLimitedError")]
    assert [(line["message"], line["seconds"]) for line in log(printed)] == [("job postponed", seconds)]
    assert len(slack.calls_of(method)) == 1, "the function itself does not try again"


def test_f30_a_job_asked_to_sleep_for_no_time_is_on_the_queue_again(
    worker: ModuleType, aws: EmbeddedAws, slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert VISIBILITY_SECONDS > 60, "without the worker's doing it would stay away for longer than a test lasts"
    monkeypatch.setattr(worker, "retry_delay", lambda _: 0)
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.faults.add("conversations.history", HtmlError(502))
    body = job_for(message)
    assert handle(worker, send(aws, body)) == [body]
    (again,) = receive(aws, 1)
    assert (again["Body"], again["Attributes"]["ApproximateReceiveCount"]) == (body, "2")
    assert handle(worker, [again]) == []
    assert len(verdicts(slack)) == 1


@pytest.mark.parametrize("fault", [HtmlError(502), HtmlError(504), Reset(), ErrorBody("internal_error", 500)])
@pytest.mark.parametrize(("receive_count", "shortest", "longest"), [("1", 1, 2), ("6", 32, 64)])
def test_f32_the_delay_grows_with_the_tries(
    fault: Any,
    receive_count: str,
    shortest: int,
    longest: int,
    worker: ModuleType,
    aws: EmbeddedAws,
    slack: SlackServer,
    slept: list[int],
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.faults.add("conversations.history", fault)
    (record,) = send(aws, job_for(message))
    record["Attributes"]["ApproximateReceiveCount"] = receive_count
    assert handle(worker, [record]) == [record["Body"]]
    (delay,) = slept
    assert shortest <= delay <= longest


@pytest.mark.parametrize(("receive_count", "shortest", "longest"), [("1", 30, 30), ("6", 32, 64)])
def test_f33_after_a_gateways_time_out_the_job_waits_until_a_late_post_must_stand_there(
    receive_count: str,
    shortest: int,
    longest: int,
    worker: ModuleType,
    aws: EmbeddedAws,
    slack: SlackServer,
    slept: list[int],
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.faults.add("chat.postMessage", HtmlError(504))
    (received,) = send(aws, job_for(message))
    received["Attributes"]["ApproximateReceiveCount"] = receive_count
    assert handle(worker, [received]) == [received["Body"]]
    (delay,) = slept
    assert shortest <= delay <= longest


def test_f33_the_second_try_after_a_lost_reply_finds_the_post(
    worker: ModuleType,
    aws: EmbeddedAws,
    slack: SlackServer,
    output: Callable[[], str],
    end_claims: Callable[[], None],
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.faults.add("chat.postMessage", Reset(before_work=False))
    messages = send(aws, job_for(message))
    assert handle(worker, messages) == [messages[0]["Body"]]
    output()
    end_claims()
    assert handle(worker, messages) == []
    assert metrics(output())[0] == ("JobEnded", "found")
    assert len(verdicts(slack)) == 1


def test_f47_one_bad_record_of_three_comes_again_alone(
    worker: ModuleType, aws: EmbeddedAws, slack: SlackServer, output: Callable[[], str]
) -> None:
    first, last = (slack.workspace.post(GENERAL, "U0ADA", INSULT) for _ in range(2))
    assert handle(worker, send(aws, job_for(first), "canary", job_for(last))) == ["canary"]
    assert [post["thread_ts"] for post in verdicts(slack)] == [first["ts"], last["ts"]]
    printed = output()
    assert ("JobFailed", "JobError") in metrics(printed)
    (line,) = log(printed)
    assert (line["level"], line["message"]) == ("ERROR", "job failed")
    assert "dead-letter queue" in line["why"]
    assert "canary" not in printed


def test_f48_a_batch_of_nothing_but_poison_is_answered_and_not_raised(worker: ModuleType, aws: EmbeddedAws) -> None:
    assert handle(worker, send(aws, "{}", "[]")) == ["{}", "[]"]


def test_f47_a_mistake_of_our_own_is_told_by_its_class_and_place_alone(
    worker: ModuleType,
    aws: EmbeddedAws,
    slack: SlackServer,
    output: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(text: str) -> None:
        raise ValueError(f"cannot read {text}")

    monkeypatch.setattr(worker.classifier, "assess", fail)
    message = slack.workspace.post(GENERAL, "U0ADA", f"{INSULT} canary")
    body = job_for(message)
    assert handle(worker, send(aws, body)) == [body]
    printed = output()
    (line,) = log(printed)
    assert line["why"] == "ValueError"
    assert line["frames"][-1].endswith(" fail")
    assert "canary" not in printed


def test_f25_a_deleted_message_ends_its_job(
    worker: ModuleType, aws: EmbeddedAws, slack: SlackServer, output: Callable[[], str]
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.workspace.delete(GENERAL, message["ts"])
    assert handle(worker, send(aws, job_for(message))) == []
    assert metrics(output())[0] == ("JobEnded", "message_gone")


@pytest.mark.parametrize("refusal", ["token_revoked", "account_inactive", "invalid_auth"])
def test_f43_a_revoked_token_ends_the_job_at_once_with_what_to_do(
    refusal: str, worker: ModuleType, aws: EmbeddedAws, slack: SlackServer, output: Callable[[], str]
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.workspace.refuse_token(refusal)
    assert handle(worker, send(aws, job_for(message))) == []
    printed = output()
    assert metrics(printed)[0] == ("JobEnded", refusal)
    (line,) = log(printed)
    assert line["level"] == "ERROR"
    assert "install the app again" in line["message"]
    assert len(slack.calls) == 1, "a refused token is not tried again"


def test_f44_a_rotated_token_is_read_again_and_the_job_done(
    worker: ModuleType, aws: EmbeddedAws, slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets, now = aws.client("secretsmanager"), [1000.0]

    def stored(token: str) -> str:
        return json.dumps({"signing_secrets": ["s"], "bot_token": token})

    secrets.create_secret(Name="test/slack", SecretString=stored(slack.workspace.token))
    settings = replace(worker.settings, secret_id="test/slack", bot_token=Secret(""))
    monkeypatch.setattr(worker, "credentials", Credentials(settings, clock=lambda: now[0]))
    first, second = (slack.workspace.post(GENERAL, "U0ADA", INSULT) for _ in range(2))
    assert handle(worker, send(aws, job_for(first))) == []

    secrets.put_secret_value(SecretId="test/slack", SecretString=stored(slack.workspace.rotate_token()))
    early = send(aws, job_for(second))
    assert handle(worker, early) == [early[0]["Body"]], "read too short a time ago: the job waits"
    now[0] += SECONDS_BETWEEN_READS
    assert handle(worker, send(aws, job_for(second))) == []
    assert [post["thread_ts"] for post in verdicts(slack)] == [first["ts"], second["ts"]]


def test_f45_each_installation_is_served_with_its_own_token(
    worker: ModuleType, aws: EmbeddedAws, slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = {"signing_secrets": ["s"], "bot_token": "xoxb-another", "bot_tokens": {"E0GRID": slack.workspace.token}}
    aws.client("secretsmanager").create_secret(Name="test/slack", SecretString=json.dumps(tokens))
    settings = replace(worker.settings, secret_id="test/slack", bot_token=Secret(""))
    monkeypatch.setattr(worker, "credentials", Credentials(settings, clock=lambda: 0.0))
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    job = Job.from_json(job_for(message))
    refused, served = (replace(job, installation=name).to_json() for name in ("T0OTHER", "E0GRID"))
    assert handle(worker, send(aws, refused, served)) == [refused]
    assert len(verdicts(slack)) == 1


def test_a_secret_store_that_fails_postpones_the_job(
    worker: ModuleType,
    aws: EmbeddedAws,
    slack: SlackServer,
    output: Callable[[], str],
    slept: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = replace(worker.settings, secret_id="test/missing", bot_token=Secret(""))
    monkeypatch.setattr(worker, "credentials", Credentials(settings))
    body = job_for(slack.workspace.post(GENERAL, "U0ADA", INSULT))
    assert handle(worker, send(aws, body)) == [body]
    assert metrics(output()) == [("JobPostponed", "SecretStoreError")]
    assert len(slept) == 1


def test_a_ledger_that_fails_postpones_the_job_and_nothing_is_said(
    worker: ModuleType, aws: EmbeddedAws, slack: SlackServer, output: Callable[[], str]
) -> None:
    aws.client("dynamodb").delete_table(TableName=aws.table)
    body = job_for(slack.workspace.post(GENERAL, "U0ADA", INSULT))
    assert handle(worker, send(aws, body)) == [body]
    assert metrics(output()) == [("JobPostponed", "LedgerError")]
    assert verdicts(slack) == []


def test_a_queue_that_fails_leaves_the_job_to_its_visibility_time_out(
    worker: ModuleType, aws: EmbeddedAws, slack: SlackServer, output: Callable[[], str]
) -> None:
    messages = send(aws, job_for(slack.workspace.post(GENERAL, "U0ADA", INSULT)))
    slack.faults.add("conversations.history", Reset())
    aws.client("sqs").delete_queue(QueueUrl=aws.queue_url)
    assert handle(worker, messages) == [messages[0]["Body"]]
    assert [line["message"] for line in log(output())] == ["visibility not changed", "job postponed"]


def test_f57_nothing_that_is_written_shows_what_a_message_says(
    worker: ModuleType,
    aws: EmbeddedAws,
    slack: SlackServer,
    output: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
    end_claims: Callable[[], None],
) -> None:
    toxic = slack.workspace.post(GENERAL, "U0ADA", f"{INSULT} quetzalcoatlus")
    foreign = slack.workspace.post(GENERAL, "U0ADA", "Ich komme heute leider sp\u00e4ter, quetzalcoatlus")
    hidden = slack.workspace.post("C0RANDOM", "U0ADA", "quetzalcoatlus")
    jobs = [job_for(toxic), job_for(foreign), job_for(hidden, "C0RANDOM")]
    slack.faults.add("chat.postMessage", Reset(before_work=False))
    with caplog.at_level("DEBUG"):
        messages = send(aws, *jobs)
        assert handle(worker, messages) == jobs[:1]
        end_claims()
        assert handle(worker, messages) == []
    rows = aws.client("dynamodb").scan(TableName=aws.table)["Items"]
    assert len(rows) == 3
    places = {"log": output() + caplog.text, "queue": json.dumps(messages), "ledger": json.dumps(rows)}
    assert "JobEnded" in places["log"]
    assert len(verdicts(slack)) == 2
    for place, text in places.items():
        for secret in ("quetzalcoatlus", "stupid", slack.workspace.token):
            assert secret not in text, f"{secret!r} stands in the {place}"
