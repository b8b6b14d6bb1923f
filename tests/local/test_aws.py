"""Embedded AWS: it handles one request at a time, and its event source redelivers jobs as Lambda does."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local.aws import OneAtATime
from local.functions import poll
from tests import ROOT

if TYPE_CHECKING:
    from local.aws import EmbeddedAws

TOO_LONG = """
import sys, time
import boto3
from local.functions import poll

poll(boto3.client("sqs"), sys.argv[1], lambda event, context: time.sleep(60), 1, timeout_seconds=0.2)
"""


def test_requests_are_handled_one_at_a_time() -> None:
    inside: list[int] = []
    most: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.001)
        inside.pop()
        return [b""]

    turns = OneAtATime(application)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: turns({}, lambda *_: lambda _: None), range(50)))
    assert (len(most), max(most)) == (50, 1)


def test_a_long_poll_returns_when_a_message_arrives(aws: EmbeddedAws) -> None:
    sqs = aws.client("sqs")
    with ThreadPoolExecutor(1) as thread:
        started = time.monotonic()
        polled = thread.submit(sqs.receive_message, QueueUrl=aws.queue_url, WaitTimeSeconds=20)
        while not polled.running():
            time.sleep(0.01)
        sqs.send_message(QueueUrl=aws.queue_url, MessageBody="a job")
        (message,) = polled.result()["Messages"]
    assert message["Body"] == "a job"
    assert time.monotonic() - started < 15, "the poll blocked the sender or did not see the message"


def test_a_long_poll_times_out_without_a_message_and_fails_at_once_without_a_queue(aws: EmbeddedAws) -> None:
    sqs, started = aws.client("sqs"), time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=aws.queue_url, WaitTimeSeconds=1)
    assert time.monotonic() - started >= 1
    with pytest.raises(ClientError, match=r"QueueDoesNotExist|NonExistentQueue"):
        sqs.receive_message(QueueUrl=f"{aws.queue_url}-elsewhere", WaitTimeSeconds=20)


@pytest.mark.failure(49)
def test_an_invocation_that_times_out_is_killed_and_its_job_is_redelivered(aws: EmbeddedAws) -> None:
    sqs = aws.client("sqs")
    sqs.send_message(QueueUrl=aws.queue_url, MessageBody="a job")
    command = [sys.executable, "-c", TOO_LONG, aws.queue_url]
    ended = subprocess.run(command, cwd=ROOT, env=aws.environ, capture_output=True, timeout=30, check=False)
    assert ended.returncode == -signal.SIGALRM, ended.stderr
    names = ["ApproximateNumberOfMessagesNotVisible"]
    left = sqs.get_queue_attributes(QueueUrl=aws.queue_url, AttributeNames=names)["Attributes"]
    assert left == {"ApproximateNumberOfMessagesNotVisible": "1"}


@pytest.mark.parametrize("fails", [False, True])
def test_a_failed_job_stays_on_the_queue(aws: EmbeddedAws, fails: bool) -> None:
    sqs = aws.client("sqs")
    sent = sqs.send_message(QueueUrl=aws.queue_url, MessageBody="a job")["MessageId"]
    answer = {"batchItemFailures": [{"itemIdentifier": sent}] if fails else []}
    assert poll(sqs, aws.queue_url, lambda event, context: answer, 1, timeout_seconds=5) == 1
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0), "the timer of a completed batch is still running"
    assert aws.waiting() == fails
