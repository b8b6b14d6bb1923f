"""`make doctor` on one machine as a whole: what is examined, what people and programs read, how it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from doctor.functions import PRIVATE
from tests import ROOT, run_module
from tests.doctor.conftest import OK

if TYPE_CHECKING:
    from local.aws import EmbeddedAws
    from tests.doctor.conftest import Examine


def test_a_complete_installation_passes(examine: Examine, request_url: str) -> None:
    report = examine("--request-url", request_url, MODEL_DIR=str(ROOT / "model"))
    assert report.subjects("wrong") | report.subjects("unknown") == set(), report.findings
    assert (report.code, report.ok) == (0, True)
    checked = ["settings", PRIVATE, "secret", "slack", "scopes", "clock", "request url", "queue", "dead-letter queue"]
    assert [finding["subject"] for finding in report.findings] == [
        *checked,
        "ledger",
        "ledger expiry",
        "last 7 days",
        "model",
    ]
    assert "toxicity (B0TOXICITY) in the workspace local (T0LOCAL)" in report.told("slack")


def test_a_bare_environment_is_named_and_hides_nothing_else(examine: Examine) -> None:
    names = ("SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "JOBS_QUEUE_URL", "LEDGER_TABLE")
    report = examine(**dict.fromkeys(names, ""))
    assert [finding["sentence"].split()[0] for finding in report.of("settings")] == [
        "SLACK_SIGNING_SECRET", "JOBS_QUEUE_URL", "SLACK_BOT_TOKEN", "LEDGER_TABLE",
    ]  # fmt: skip
    assert report.subjects("unknown") == {
        "secret", "slack", "scopes", "request url", "queue", "dead-letter queue", "ledger",
    }  # fmt: skip
    assert report.mark("clock") == "ok", "Slack tells the time without a token"
    assert (report.code, report.ok) == (1, False)


def test_every_bad_value_is_named_and_the_rest_is_examined(examine: Examine) -> None:
    report = examine(REPLY_TO="everybody", TOXIC_THRESHOLD="96 %", JUDGE_AFTER_REMOVAL="maybe")
    named = {finding["sentence"].split()[0] for finding in report.of("settings")}
    assert named == {"REPLY_TO", "TOXIC_THRESHOLD", "JUDGE_AFTER_REMOVAL"}
    report.expect({"slack": OK, "queue": OK, "ledger": OK})


def test_people_read_a_line_for_each_finding_and_a_summary(examine: Examine, aws: EmbeddedAws) -> None:
    shown = run_module("doctor")
    assert (shown.returncode, shown.stderr) == (1, "")
    assert "\nok       queue              0 jobs in it" in shown.stdout
    assert "\nwrong    model              " in shown.stdout
    assert "\n                            -> set MODEL_DIR to that of a model" in shown.stdout
    assert shown.stdout.endswith("\n\n11 ok, 1 wrong, 1 unknown\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--format", "xml"),
        ("--request-url", "slack/events"),
        ("--request-url", "http://[::1/slack/events"),
        ("--stack", "a", "--request-url", "https://example.com"),
        ("surplus",),
    ],
)
def test_a_wrong_call_ends_with_2(arguments: tuple[str, ...]) -> None:
    refused = run_module("doctor", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Usage: python -m doctor" in refused.stderr
