"""The local event source ends invocations and redelivers jobs as Lambda does."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

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


@pytest.mark.failure(49)
def test_an_invocation_that_runs_too_long_is_ended_and_its_job_comes_again(aws: EmbeddedAws) -> None:
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
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0), "the time-out of a batch that ended is still running"
    assert aws.waiting() == fails
