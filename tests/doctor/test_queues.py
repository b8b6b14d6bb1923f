"""Findings about the queue and its dead-letter queue: missing, wrong settings, failed jobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.aws import EmbeddedAws
    from tests.doctor.conftest import Examine


def test_a_missing_queue_is_found(examine: Examine, aws: EmbeddedAws) -> None:
    aws.client("sqs").delete_queue(QueueUrl=aws.queue_url)
    report = examine()
    assert (report.mark("queue"), report.mark("dead-letter queue")) == ("wrong", "unknown")
    assert "does not exist" in report.told("queue")
    assert report.mark("ledger") == "ok"


def test_a_queue_without_a_dead_letter_queue_is_found(examine: Examine, aws: EmbeddedAws) -> None:
    url = aws.client("sqs").create_queue(QueueName="bare")["QueueUrl"]
    report = examine(JOBS_QUEUE_URL=url)
    assert "has no dead-letter queue" in report.told("queue")


def test_a_queue_that_gives_up_too_soon_is_found(examine: Examine, aws: EmbeddedAws) -> None:
    sqs = aws.client("sqs")
    arn = sqs.get_queue_attributes(QueueUrl=aws.dead_letter_queue_url, AttributeNames=["QueueArn"])["Attributes"]
    redrive = json.dumps({"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 3})
    sqs.set_queue_attributes(QueueUrl=aws.queue_url, Attributes={"RedrivePolicy": redrive})
    assert "it gives up a job after 3 receives" in examine().told("queue")


def test_f48_jobs_in_the_dead_letter_queue_are_counted(examine: Examine, aws: EmbeddedAws) -> None:
    for _ in range(3):
        aws.client("sqs").send_message(QueueUrl=aws.dead_letter_queue_url, MessageBody="{}")
    report = examine()
    assert report.mark("dead-letter queue") == "wrong"
    told = report.told("dead-letter queue")
    assert "3 jobs in it" in told
    assert f"aws sqs receive-message --queue-url {aws.dead_letter_queue_url}" in told
    assert "aws sqs start-message-move-task --source-arn arn:aws:sqs:" in told
