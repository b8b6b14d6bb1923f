"""Check the settings and contents of the job queue, its dead-letter queue and the ledger's table."""

from __future__ import annotations

import json

from doctor.findings import Check, aws_checked, client, ok, unknown, wrong
from toxicity_bot.tally import DAYS, MAX_CHANNELS, scan, tallies, total

# AWS's own advice for a queue that feeds a function:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_PER_TIMEOUT = 6
MIN_RECEIVES = 5
# Powertools' default names, which the ledger uses.
KEY, EXPIRY = "id", "expiration"
NUMBERS = f"last {DAYS} days"

_RESTORE = "make deploy restores the settings in template.yaml"


def check_queues(url: str, worker_timeout: float | None) -> Check[str | None]:
    """Check the job queue and the dead-letter queue that its redrive policy names. Return the job queue's ARN."""
    if not url:
        yield unknown("queue", "not checked: JOBS_QUEUE_URL is not set")
        yield unknown("dead-letter queue", "not checked: its name is in the settings of the queue")
        return None
    set_url = "set JOBS_QUEUE_URL to the stack's output JobsQueueUrl"
    arn, dead_letter_arn = (yield from aws_checked("queue", set_url, _check_jobs(url, worker_timeout))) or (None, None)
    if dead_letter_arn:
        named = "make deploy creates it; the queue's redrive policy names it"
        yield from aws_checked("dead-letter queue", named, _check_dead_letters(dead_letter_arn))
    else:
        yield unknown("dead-letter queue", "not checked: the queue has none, or cannot be read")
    return arn


def _check_jobs(url: str, worker_timeout: float | None) -> Check[tuple[str, str | None]]:
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
    receives, visibility = int(redrive.get("maxReceiveCount", 0)), int(attributes["VisibilityTimeout"])
    if not redrive:
        yield wrong("queue", "it has no dead-letter queue: a job that always fails is retried for days", _RESTORE)
    elif receives < MIN_RECEIVES:
        reason = f"and throttled ones count; below {MIN_RECEIVES}, jobs are lost"
        yield wrong("queue", f"it gives up a job after {receives} receives, {reason}", _RESTORE)
    elif visibility < VISIBILITY_PER_TIMEOUT * (worker_timeout or 0):
        sentence = f"its visibility timeout is {visibility} s, less than {VISIBILITY_PER_TIMEOUT} times the worker's"
        yield wrong("queue", f"{sentence} {worker_timeout:.0f} s: two workers may get the same job", _RESTORE)
    else:
        yield ok("queue", f"{_jobs(attributes)} in it; visibility timeout {visibility} s, {receives} receives")
    return attributes["QueueArn"], redrive.get("deadLetterTargetArn")


def _check_dead_letters(arn: str) -> Check[None]:
    sqs = client("sqs")
    _, _, _, _, account, name = arn.split(":")
    url = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    if attributes["ApproximateNumberOfMessages"] == "0":
        yield ok("dead-letter queue", "it is empty")
    else:
        look = f"aws sqs receive-message --queue-url {url} --attribute-names All (a job holds ids, never text)"
        again = f"once the cause in the worker's log is fixed: aws sqs start-message-move-task --source-arn {arn}"
        yield wrong("dead-letter queue", f"{_jobs(attributes)} in it that failed repeatedly", f"{look}; {again}")


def _jobs(attributes: dict[str, str]) -> str:
    number = attributes["ApproximateNumberOfMessages"]
    return f"{number} job{'s' if number != '1' else ''}"


def check_table(name: str, now: float) -> Check[None]:
    """Check the table and its expiry. Report the verdicts, feedback clicks and reports of the last days."""
    if not name:
        yield unknown("ledger", "not checked: LEDGER_TABLE is not set")
        return
    set_name = "set LEDGER_TABLE to the stack's output LedgerTableName"
    if (yield from aws_checked("ledger", set_name, _check_table(name))):
        yield from aws_checked("ledger expiry", set_name, _check_expiry(name))
        yield from aws_checked(NUMBERS, set_name, _count(name, now))
    else:
        yield unknown("ledger expiry", "not checked: the table cannot be read")


def _check_table(name: str) -> Check[bool]:
    table = client("dynamodb").describe_table(TableName=name)["Table"]
    keys = [key["AttributeName"] for key in table["KeySchema"]]
    if table["TableStatus"] != "ACTIVE":
        yield wrong("ledger", f"the table is {table['TableStatus']}, not ACTIVE", "wait a minute and run this again")
    elif keys != [KEY]:
        yield wrong("ledger", f"the table's key is {', '.join(keys)}, not {KEY}", _RESTORE)
    else:
        yield ok("ledger", f"the table {name} is ACTIVE")
    return True


def _check_expiry(name: str) -> Check[None]:
    expiry = client("dynamodb").describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if expiry["TimeToLiveStatus"] in ("ENABLED", "ENABLING") and expiry.get("AttributeName") == EXPIRY:
        yield ok("ledger expiry", f"rows expire at the time in their attribute {EXPIRY}")
    else:
        specification = f"Enabled=true,AttributeName={EXPIRY}"
        command = f"aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification {specification}"
        yield wrong("ledger expiry", f"rows never expire: time to live is not enabled on {EXPIRY}", command)


def _count(name: str, now: float) -> Check[None]:
    found = tallies(scan(client("dynamodb"), name), now - DAYS * 24 * 3600)
    named = [f"{channel}: {tally}" for channel, tally in found.items() if channel][:MAX_CHANNELS]
    yield ok(NUMBERS, "; ".join([str(total(found)), *named]))
