"""Check the job queue and its dead-letter queue: their settings, and the jobs in them."""

from __future__ import annotations

import json

from doctor.aws import asking, client
from doctor.findings import Check, ok, unknown, wrong

# AWS's own advice for a queue that feeds a function:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
TIMEOUTS_IN_VISIBILITY = 6
LEAST_RECEIVES = 5

_DEPLOY = "make deploy restores what template.yaml says"


def check_queues(url: str, worker_timeout: float | None) -> Check[str | None]:
    """Check both; the first one's redrive policy names the second. Return the first one's ARN."""
    if not url:
        yield unknown("queue", "not checked: JOBS_QUEUE_URL is not set")
        yield unknown("dead-letter queue", "not checked: only the queue names it")
        return None
    set_url = "set JOBS_QUEUE_URL to the stack's output JobsQueueUrl"
    arns = yield from asking("queue", set_url, _check_jobs(url, worker_timeout))
    arn, dead_letter_arn = arns or (None, None)
    if dead_letter_arn:
        named = "the queue's redrive policy names it: make deploy"
        yield from asking("dead-letter queue", named, _check_dead_letters(dead_letter_arn))
    else:
        yield unknown("dead-letter queue", "not checked: the queue names none, or does not answer")
    return arn


def _check_jobs(url: str, worker_timeout: float | None) -> Check[tuple[str, str | None]]:
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
    receives, visibility = int(redrive.get("maxReceiveCount", 0)), int(attributes["VisibilityTimeout"])
    least = TIMEOUTS_IN_VISIBILITY * (worker_timeout or 0)
    if not redrive:
        yield wrong("queue", "it has no dead-letter queue: a job that always fails is retried for days", _DEPLOY)
    elif receives < LEAST_RECEIVES:
        told = f"it gives up a job after {receives} receives, throttled ones too; fewer than {LEAST_RECEIVES} lose jobs"
        yield wrong("queue", told, _DEPLOY)
    elif visibility < least:
        told = f"its visibility time-out is {visibility} s, less than {TIMEOUTS_IN_VISIBILITY} times the worker's"
        yield wrong("queue", f"{told} {worker_timeout:.0f} s: two workers may get the same job", _DEPLOY)
    else:
        waiting = int(attributes["ApproximateNumberOfMessages"])
        yield ok("queue", f"{_jobs(waiting)} in it; visibility time-out {visibility} s, {receives} receives")
    return attributes["QueueArn"], redrive.get("deadLetterTargetArn")


def _check_dead_letters(arn: str) -> Check[None]:
    sqs = client("sqs")
    _, _, _, _, account, name = arn.split(":")
    url = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    if waiting := int(attributes["ApproximateNumberOfMessages"]):
        look = f"aws sqs receive-message --queue-url {url} --attribute-names All (a job holds ids, never text)"
        again = f"once the cause in the worker's log is fixed: aws sqs start-message-move-task --source-arn {arn}"
        yield wrong("dead-letter queue", f"{_jobs(waiting)} in it, which failed repeatedly", f"{look}; {again}")
    else:
        yield ok("dead-letter queue", "it is empty")


def _jobs(number: int) -> str:
    return f"{number} job{'s' if number != 1 else ''}"
