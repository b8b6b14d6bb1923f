"""`make doctor` on one machine: checks, findings, output for people and programs, and arguments."""

import shutil
from pathlib import Path

import pytest

from doctor.functions import PRIVATE
from local.aws import EmbeddedAws
from tests import CLOSED, ROOT, run_module
from tests.doctor.conftest import OK, UNKNOWN, Examine, Expected

MODEL = {"MODEL_DIR": str(ROOT / "model")}
SECRET = {"SLACK_SECRET_ID": "test/slack"}
UNREACHABLE = ("wrong", "EndpointConnectionError")


def test_a_complete_installation_passes(examine: Examine, request_url: str) -> None:
    report = examine("--request-url", request_url, **MODEL)
    assert report.marked("ok") == set(report.subjects), report.findings
    assert (report.code, report.ok) == (0, True)
    assert report.subjects == [
        "settings", PRIVATE, "secret", "slack", "scopes", "clock", "request url", "queue", "dead-letter queue",
        "ledger", "ledger expiry", "last 7 days", "model",
    ]  # fmt: skip
    assert "toxicity (B0TOXICITY) in the workspace local (T0LOCAL)" in report.told("slack")


def test_missing_variables_are_reported_and_the_other_checks_still_run(examine: Examine) -> None:
    names = ("SLACK_SIGNING_SECRET", "JOBS_QUEUE_URL", "SLACK_BOT_TOKEN", "LEDGER_TABLE")
    report = examine(**dict.fromkeys(names, ""))
    assert tuple(sentence.split()[0] for sentence in report.of("settings")) == names
    assert report.marked("unknown") == {
        "secret", "slack", "scopes", "request url", "queue", "dead-letter queue", "ledger",
    }  # fmt: skip
    report.expect({"clock": OK})  # Slack's clock can be read without a token
    assert (report.code, report.ok) == (1, False)


def test_every_invalid_value_is_named_and_the_other_checks_still_run(examine: Examine) -> None:
    bad = {"REPLY_TO": "everybody", "TOXIC_THRESHOLD": "96 %", "JUDGE_AFTER_REMOVAL": "maybe"}
    report = examine(**bad)
    assert {sentence.split()[0] for sentence in report.of("settings")} == bad.keys()
    report.expect({"slack": OK, "queue": OK, "ledger": OK})


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {"slack": ("ok", "about 50 verdicts a minute in a workspace, or 1 if")}),
        ({"SLACK_API_URL": f"{CLOSED}/api/"},
         {"slack": ("wrong",), "scopes": UNKNOWN, "clock": UNKNOWN, "queue": OK, "ledger": OK}),
        (SECRET | {"AWS_ENDPOINT_URL": CLOSED}, dict.fromkeys(("secret", "queue", "ledger"), UNREACHABLE)),
        (SECRET | {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
         {"secret": UNKNOWN, "queue": UNKNOWN, "ledger": ("unknown", "NoCredentialsError", "aws sso login")}),
        ({"SLACK_SECRET_ID": "xoxb-canary-put-into-the-wrong-variable"}, {"secret": ("wrong", "does not exist")}),
        pytest.param({"CHANNEL_SETTINGS": '{"C0GENERAL": {"verdicts": "all"}}'},
                     {"settings": ("wrong", 'CHANNEL_SETTINGS has an entry "C0GENERAL" whose verdicts is "all"')},
                     marks=pytest.mark.failure(120)),
        (MODEL | {"TOXIC_THRESHOLD": "0.9", "MAYBE_TOXIC_THRESHOLD": "0.4"},
         {"model": ("ok", "toxic from 0.9, may be toxic from 0.4 -> ")}),
        (MODEL | {"TOXIC_THRESHOLD": "0.9", "MAYBE_TOXIC_THRESHOLD": "0.9"}, {"model": ("ok", "toxic from 0.9 -> ")}),
        (MODEL | {"MAYBE_TOXIC_THRESHOLD": "1"},
         {"model": ("wrong", "MAYBE_TOXIC_THRESHOLD is 1, above 0.", "use a number from 0 to 0.")}),
    ],
)  # fmt: skip
def test_findings_about_environment_variables(examine: Examine, variables: dict[str, str], expected: Expected) -> None:
    examine(**variables).expect(expected)


@pytest.mark.failure(51)
def test_a_damaged_model_is_named_by_its_file(examine: Examine, tmp_path: Path) -> None:
    for name in ("model.json", "tokenizer.json"):
        shutil.copy(ROOT / "model" / name, tmp_path)
    (tmp_path / "model.onnx").write_bytes((ROOT / "model" / "model.onnx").read_bytes()[:1000])
    words = "model.onnx has 1,000 bytes where model.json records", "make model"
    examine(MODEL_DIR=str(tmp_path)).expect({"model": ("wrong", *words)})


def test_the_output_is_a_line_per_finding_and_a_summary(examine: Examine, aws: EmbeddedAws) -> None:
    shown = run_module("doctor")
    assert (shown.returncode, shown.stderr) == (1, "")
    assert "\nok       queue              0 jobs in it" in shown.stdout
    assert "\nwrong    model              " in shown.stdout
    assert "\n                            -> set MODEL_DIR to a model's directory" in shown.stdout
    assert shown.stdout.endswith("\n\n11 ok, 1 wrong, 1 unknown\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--format", "xml"),
        ("--request-url", "slack/events"),
        ("--request-url", "http://[::1/slack/events"),
        ("--request-url", "https://example.com/sl\xe4ck"),
        ("--request-url", "https://example..com/slack/events"),
        ("--stack", "a", "--request-url", "https://example.com"),
        ("surplus",),
    ],
)
def test_invalid_arguments_exit_with_2(arguments: tuple[str, ...]) -> None:
    refused = run_module("doctor", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Usage: python -m doctor" in refused.stderr
