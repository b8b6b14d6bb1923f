"""Findings when AWS is unreachable or refuses access; the other checks still run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from doctor.findings import refusal

if TYPE_CHECKING:
    from tests.doctor.conftest import Examine

SECRET_ID = "test/slack"


def test_aws_out_of_reach_is_a_finding_for_each_service(examine: Examine, closed_port: int) -> None:
    report = examine(AWS_ENDPOINT_URL=f"http://127.0.0.1:{closed_port}", SLACK_SECRET_ID=SECRET_ID)
    assert {"secret", "queue", "ledger"} <= report.subjects("wrong")
    assert all("EndpointConnectionError" in report.told(subject) for subject in ("secret", "queue", "ledger"))


def test_a_machine_that_is_not_signed_in_knows_nothing_of_the_rest(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    report = examine(SLACK_SECRET_ID=SECRET_ID)
    assert {"secret", "queue", "ledger"} <= report.subjects("unknown")
    assert "NoCredentialsError" in report.told("ledger")
    assert "aws sso login" in report.told("ledger")


@pytest.mark.parametrize(
    ("code", "mark"),
    [
        ("AccessDeniedException", "unknown"),
        ("ExpiredTokenException", "unknown"),
        ("ResourceNotFoundException", "wrong"),
        ("ReadTimeoutError", "wrong"),
    ],
)
def test_missing_rights_are_no_verdict_on_the_installation(code: str, mark: str) -> None:
    finding = refusal("ledger", code, "DescribeTable", "set LEDGER_TABLE")
    assert finding.mark == mark
    assert code in finding.sentence
    assert finding.remedy
