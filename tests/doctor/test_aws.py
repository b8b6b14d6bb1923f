"""Findings about AWS: no access, and missing or misconfigured queues and tables."""

import json
import time
from collections.abc import Callable

import pytest

from doctor.findings import aws_error
from local.aws import EmbeddedAws
from local.functions import LocalContext
from tests.doctor.conftest import OK, UNKNOWN, Examine, Expected
from toxicity_bot.feedback import AGREED, Opinion
from toxicity_bot.ledger import Ledger
from toxicity_bot.opinions import save
from toxicity_bot.table import Table

OFF = {"Enabled": False, "AttributeName": "expiration"}
FEW = {"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:jobs-dead", "maxReceiveCount": 3}
OTHER = {
    "TableName": "other",
    "KeySchema": [{"AttributeName": "name", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "name", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.mark.parametrize(
    ("damage", "variables", "expected"),
    [
        (lambda aws: aws.client("sqs").delete_queue(QueueUrl=aws.queue_url), {},
         {"queue": ("wrong", "does not exist"), "dead-letter queue": UNKNOWN, "ledger": OK}),
        (lambda aws: aws.client("sqs").create_queue(QueueName="bare"), {"JOBS_QUEUE_URL": "https://sqs/1/bare"},
         {"queue": ("wrong", "has no dead-letter queue")}),
        (lambda aws: aws.client("sqs").set_queue_attributes(
            QueueUrl=aws.queue_url, Attributes={"RedrivePolicy": json.dumps(FEW)}), {},
         {"queue": ("wrong", "it gives up a job after 3 receives")}),
        (lambda aws: aws.client("dynamodb").delete_table(TableName=aws.table), {},
         {"ledger": ("wrong",), "ledger expiry": UNKNOWN, "queue": OK}),
        (lambda aws: aws.client("dynamodb").update_time_to_live(TableName=aws.table, TimeToLiveSpecification=OFF), {},
         {"ledger": OK, "ledger expiry": ("wrong", "Enabled=true,AttributeName=expiration")}),
        (lambda aws: aws.client("dynamodb").create_table(**OTHER), {"LEDGER_TABLE": "other"},
         {"ledger": ("wrong", "the table's key is name, not id")}),
    ],
)  # fmt: skip
def test_a_defect_is_found_and_the_other_checks_still_run(
    examine: Examine,
    aws: EmbeddedAws,
    damage: Callable[[EmbeddedAws], object],
    variables: dict[str, str],
    expected: Expected,
) -> None:
    damage(aws)
    examine(**variables).expect(expected)


@pytest.mark.failure(48)
def test_jobs_in_the_dead_letter_queue_are_counted(examine: Examine, aws: EmbeddedAws) -> None:
    url = aws.dead_letter_queue_url
    for _ in range(3):
        aws.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    commands = f"aws sqs receive-message --queue-url {url}", "aws sqs start-message-move-task --source-arn arn:aws:sqs:"
    examine().expect({"dead-letter queue": ("wrong", "3 jobs in it", *commands)})


def test_the_verdicts_feedback_and_reports_of_the_last_week_are_counted(examine: Examine, aws: EmbeddedAws) -> None:
    opinion = Opinion("T0LOCAL/C0GENERAL/1731000000.000100/0a1b2c3d", "U0ADA", AGREED, "toxic", "0.9000", time.time())
    save(Table(aws.table, aws.client("dynamodb")), opinion)
    ledger = Ledger(aws.table)
    ledger.set_deadline(LocalContext("worker"))  # type: ignore[arg-type]
    ledger.once("verdict", "key", lambda: {"outcome": "toxic", "channel": "C0GENERAL"})
    counted = "1 verdict (1 likely toxic), 1 agreed, 0 disagreed, 0 reports"
    examine().expect({"last 7 days": ("ok", f"{counted}; C0GENERAL: {counted}")})
    examine.seconds_ahead = 8 * 24 * 3600
    examine().expect({"last 7 days": ("ok", "0 verdicts, 0 agreed")})


@pytest.mark.parametrize(
    ("code", "mark"),
    [
        ("AccessDeniedException", "unknown"),
        ("ExpiredTokenException", "unknown"),
        ("ResourceNotFoundException", "wrong"),
        ("ReadTimeoutError", "wrong"),
    ],
)
def test_missing_permissions_are_not_a_defect_of_the_installation(code: str, mark: str) -> None:
    finding = aws_error("ledger", code, "DescribeTable", "set LEDGER_TABLE")
    assert finding.mark == mark
    assert code in finding.sentence
    assert finding.remedy
