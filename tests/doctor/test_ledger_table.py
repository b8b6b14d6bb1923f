"""Findings about the ledger's table: missing, wrong key, no expiry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.aws import EmbeddedAws
    from tests.doctor.conftest import Examine


def test_a_missing_table_is_found(examine: Examine, aws: EmbeddedAws) -> None:
    aws.client("dynamodb").delete_table(TableName=aws.table)
    report = examine()
    assert (report.mark("ledger"), report.mark("ledger expiry")) == ("wrong", "unknown")
    assert report.mark("queue") == "ok"


def test_a_table_whose_rows_never_expire_is_told_with_the_command(examine: Examine, aws: EmbeddedAws) -> None:
    off = {"Enabled": False, "AttributeName": "expiration"}
    aws.client("dynamodb").update_time_to_live(TableName=aws.table, TimeToLiveSpecification=off)
    report = examine()
    assert (report.mark("ledger"), report.mark("ledger expiry")) == ("ok", "wrong")
    assert "Enabled=true,AttributeName=expiration" in report.the("ledger expiry")["remedy"]


def test_a_table_with_another_key_is_found(examine: Examine, aws: EmbeddedAws) -> None:
    aws.client("dynamodb").create_table(
        TableName="other",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert "the table's key is name, not id" in examine(LEDGER_TABLE="other").told("ledger")
