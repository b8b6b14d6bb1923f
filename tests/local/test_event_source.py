"""The local event source ends invocations and redelivers jobs as Lambda does."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.aws import EmbeddedAws
from local.functions import poll

ROOT = Path(__file__).parent.parent.parent

TOO_LONG = """
import sys, time
import boto3
from local.functions import poll

poll(boto3.client("sqs"), sys.argv[1], lambda event, context: time.sleep(60), 1, timeout_seconds=0.2)
"""


def test_f49_an_invocation_that_runs_too_long_is_ended_and_its_job_comes_again() -> None:
    with EmbeddedAws() as aws:
        sqs = aws.client("sqs")
        sqs.send_message(QueueUrl=aws.queue_url, MessageBody="a job")
        command = [sys.executable, "-c", TOO_LONG, aws.queue_url]
        ended = subprocess.run(command, cwd=ROOT, env=aws.environ, capture_output=True, timeout=30, check=False)
        assert ended.returncode == -signal.SIGALRM, ended.stderr
        names = ["ApproximateNumberOfMessagesNotVisible"]
        left = sqs.get_queue_attributes(QueueUrl=aws.queue_url, AttributeNames=names)["Attributes"]
        assert left == {"ApproximateNumberOfMessagesNotVisible": "1"}


@pytest.mark.parametrize(("failures", "left"), [([], 0), ([{"itemIdentifier": "its own"}], 1)])
def test_what_failed_stays_on_the_queue(failures: list[dict[str, str]], left: int) -> None:
    with EmbeddedAws() as aws:
        sqs = aws.client("sqs")
        sent = sqs.send_message(QueueUrl=aws.queue_url, MessageBody="a job")["MessageId"]
        answer = {"batchItemFailures": [{"itemIdentifier": sent} for _ in failures]}
        assert poll(sqs, aws.queue_url, lambda event, context: answer, 1, timeout_seconds=5) == 1
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0), "the time-out of a batch that ended is still running"
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = sqs.get_queue_attributes(QueueUrl=aws.queue_url, AttributeNames=names)["Attributes"]
        assert sum(map(int, attributes.values())) == left
