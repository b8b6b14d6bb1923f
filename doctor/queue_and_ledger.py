"""Check the job queue, its dead-letter queue and the ledger's table: their settings, and what is in them."""

from __future__ import annotations

import json

from doctor.findings import Check, asking, client, ok, unknown, wrong
from toxicity_bot.tally import DAYS, MAX_CHANNELS, scan, tallies, total

# AWS's own advice for a queue that feeds a function:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
TIMEOUTS_IN_VISIBILITY = 6
LEAST_RECEIVES = 5
# Powertools' default names, which the ledger uses.
KEY, EXPIRY = "id", "expiration"
NUMBERS = f"last {DAYS} days"

_RESTORE = "make deploy restores what template.yaml says"


def check_queues(url: str, worker_timeout: float | None) -> Check[str | None]:
    """Check both; the first one's redrive policy names the second. Return the first one's ARN."""
    if not url:
        yield unknown("queue", "not checked: JOBS_QUEUE_URL is not set")
        yield unknown("dead-letter queue", "not checked: only the queue names it")
        return None
    set_url = "set JOBS_QUEUE_URL to the stack's output JobsQueueUrl"
    arn, dead_letter_arn = (yield from asking("queue", set_url, _check_jobs(url, worker_timeout))) or (None, None)
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
    if not redrive:
        yield wrong("queue", "it has no dead-letter queue: a job that always fails is retried for days", _RESTORE)
    elif receives < LEAST_RECEIVES:
        reason = f"throttled ones too; fewer than {LEAST_RECEIVES} lose jobs"
        yield wrong("queue", f"it gives up a job after {receives} receives, {reason}", _RESTORE)
    elif visibility < TIMEOUTS_IN_VISIBILITY * (worker_timeout or 0):
        sentence = f"its visibility time-out is {visibility} s, less than {TIMEOUTS_IN_VISIBILITY} times the worker's"
        yield wrong("queue", f"{sentence} {worker_timeout:.0f} s: two workers may get the same job", _RESTORE)
    else:
        yield ok("queue", f"{_jobs(attributes)} in it; visibility time-out {visibility} s, {receives} receives")
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
        yield wrong("dead-letter queue", f"{_jobs(attributes)} in it, which failed repeatedly", f"{look}; {again}")


def _jobs(attributes: dict[str, str]) -> str:
    number = attributes["ApproximateNumberOfMessages"]
    return f"{number} job{'s' if number != '1' else ''}"


def check_table(name: str, now: float) -> Check[None]:
    """Check the table and its expiry, and tell how many verdicts, opinions of them and reports it has had lately."""
    if not name:
        yield unknown("ledger", "not checked: LEDGER_TABLE is not set")
        return
    set_name = "set LEDGER_TABLE to the stack's output LedgerTableName"
    if (yield from asking("ledger", set_name, _check_table(name))):
        yield from asking("ledger expiry", set_name, _check_expiry(name))
        yield from asking(NUMBERS, set_name, _count(name, now))
    else:
        yield unknown("ledger expiry", "not checked: the table does not answer")


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
        yield ok("ledger expiry", f"rows expire by their attribute {EXPIRY}")
    else:
        specification = f"Enabled=true,AttributeName={EXPIRY}"
        command = f"aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification {specification}"
        yield wrong("ledger expiry", f"rows never expire: the time to live is not on {EXPIRY}", command)


def _count(name: str, now: float) -> Check[None]:
    found = tallies(scan(client("dynamodb"), name), now - DAYS * 24 * 3600)
    named = [f"{channel}: {tally}" for channel, tally in found.items() if channel][:MAX_CHANNELS]
    yield ok(NUMBERS, "; ".join([str(total(found)), *named]))
