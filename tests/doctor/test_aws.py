"""Findings about AWS: no access, and a queue or a table that is missing or set up wrongly."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from doctor.findings import refusal
from local.functions import LocalContext
from tests.doctor.conftest import OK, UNKNOWN
from toxicity_bot.feedback import AGREED, Opinion
from toxicity_bot.ledger import Ledger
from toxicity_bot.opinions import keep
from toxicity_bot.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws import EmbeddedAws
    from tests.doctor.conftest import Examine, Expected

Variables = dict[str, str]


def delete_queue(aws: EmbeddedAws) -> Variables:
    aws.client("sqs").delete_queue(QueueUrl=aws.queue_url)
    return {}


def create_queue_without_dead_letter_queue(aws: EmbeddedAws) -> Variables:
    return {"JOBS_QUEUE_URL": aws.client("sqs").create_queue(QueueName="bare")["QueueUrl"]}


def allow_three_receives(aws: EmbeddedAws) -> Variables:
    sqs = aws.client("sqs")
    arn = sqs.get_queue_attributes(QueueUrl=aws.dead_letter_queue_url, AttributeNames=["QueueArn"])["Attributes"]
    redrive = json.dumps({"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 3})
    sqs.set_queue_attributes(QueueUrl=aws.queue_url, Attributes={"RedrivePolicy": redrive})
    return {}


def delete_table(aws: EmbeddedAws) -> Variables:
    aws.client("dynamodb").delete_table(TableName=aws.table)
    return {}


def switch_expiry_off(aws: EmbeddedAws) -> Variables:
    off = {"Enabled": False, "AttributeName": "expiration"}
    aws.client("dynamodb").update_time_to_live(TableName=aws.table, TimeToLiveSpecification=off)
    return {}


def create_table_with_another_key(aws: EmbeddedAws) -> Variables:
    aws.client("dynamodb").create_table(
        TableName="other",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return {"LEDGER_TABLE": "other"}


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (delete_queue, {"queue": ("wrong", "does not exist"), "dead-letter queue": UNKNOWN, "ledger": OK}),
        (create_queue_without_dead_letter_queue, {"queue": ("wrong", "has no dead-letter queue")}),
        (allow_three_receives, {"queue": ("wrong", "it gives up a job after 3 receives")}),
        (delete_table, {"ledger": ("wrong",), "ledger expiry": UNKNOWN, "queue": OK}),
        (switch_expiry_off, {"ledger": OK, "ledger expiry": ("wrong", "Enabled=true,AttributeName=expiration")}),
        (create_table_with_another_key, {"ledger": ("wrong", "the table's key is name, not id")}),
    ],
)
def test_a_defect_is_found_and_hides_nothing_else(
    examine: Examine, aws: EmbeddedAws, damage: Callable[[EmbeddedAws], Variables], expected: Expected
) -> None:
    examine(**damage(aws)).expect(expected)


@pytest.mark.failure(48)
def test_jobs_in_the_dead_letter_queue_are_counted(examine: Examine, aws: EmbeddedAws) -> None:
    url = aws.dead_letter_queue_url
    for _ in range(3):
        aws.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    commands = f"aws sqs receive-message --queue-url {url}", "aws sqs start-message-move-task --source-arn arn:aws:sqs:"
    examine().expect({"dead-letter queue": ("wrong", "3 jobs in it", *commands)})


def test_verdicts_feedback_and_reports_of_a_week_are_counted(examine: Examine, aws: EmbeddedAws) -> None:
    opinion = Opinion("T0LOCAL/C0GENERAL/1731000000.000100/0a1b2c3d", "U0ADA", AGREED, "toxic", "0.9000", time.time())
    keep(Table(aws.table, aws.client("dynamodb")), opinion)
    ledger = Ledger(aws.table)
    ledger.lease_until_end_of(LocalContext("worker"))  # type: ignore[arg-type]
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
def test_missing_rights_are_no_defect_of_the_installation(code: str, mark: str) -> None:
    finding = refusal("ledger", code, "DescribeTable", "set LEDGER_TABLE")
    assert finding.mark == mark
    assert code in finding.sentence
    assert finding.remedy
