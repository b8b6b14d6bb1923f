from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.events import api_gateway_event, app_rate_limited, encoded, event_callback, signed, url_verification
from local.workspace import Identity, Workspace
from toxicity_bot.credentials import SECONDS_BETWEEN_READS, Credentials
from toxicity_bot.jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from local.aws import EmbeddedAws

ROOT = Path(__file__).parent.parent
SECRET = "local-signing-secret"
REFUSED = "This request was refused."


def reaction(emoji: str = "biohazard_sign", **event: Any) -> dict[str, Any]:
    """What Slack sends when grace reacts to ada's message; `event` changes the inner event."""
    workspace = Workspace.example()
    message = workspace.post("C0GENERAL", "U0ADA", "canary")
    inner = workspace.react("C0GENERAL", message["ts"], "U0GRACE", emoji)
    return event_callback(inner | event, workspace.identity)


def deliver(receiver: ModuleType, payload: dict[str, Any], secret: str = SECRET, age: int = 0) -> dict[str, Any]:
    """Hand a signed request to the handler, as the HTTP API does; return the answer."""
    body = encoded(payload)
    event = api_gateway_event(body, signed(body, secret, int(time.time()) - age))
    answer: dict[str, Any] = receiver.handler(event, None)
    return answer


def queued(aws: EmbeddedAws) -> list[str]:
    """The bodies of what waits on the queue."""
    answer = aws.client("sqs").receive_message(QueueUrl=aws.queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in answer.get("Messages", [])]


def counted(output: str) -> dict[str, str]:
    """The metrics in what was printed, each with its reason."""
    lines = [json.loads(line) for line in output.splitlines()]
    names = [(line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"], line) for line in lines if "_aws" in line]
    return {name: line.get("reason", "") for name, line in names}


def imported_with(monkeypatch: pytest.MonkeyPatch, **environ: str) -> ModuleType:
    """The receiver of another process, whose environment is another one."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "toxicity_bot.receiver", raising=False)
    module = importlib.import_module("toxicity_bot.receiver")
    monkeypatch.delitem(sys.modules, "toxicity_bot.receiver")
    return module


# What Slack sends.


def test_a_reaction_becomes_one_job_of_ids_alone(
    receiver: ModuleType, aws: EmbeddedAws, output: Callable[[], str]
) -> None:
    payload = reaction() | {"a_field_of_tomorrow": "canary"}
    assert deliver(receiver, payload) == {
        "statusCode": 200,
        "headers": {"content-type": "text/plain; charset=utf-8"},
        "body": "",
    }
    (body,) = queued(aws)
    ts = payload["event"]["item"]["ts"]
    expected = Job("T0LOCAL", "C0GENERAL", ts, "U0GRACE", payload["event_id"], payload["event_time"], "T0LOCAL")
    assert Job.from_json(body) == expected
    assert counted(output()) == {"JobQueued": "reaction"}


def test_f2_a_retry_is_processed_like_any_other(receiver: ModuleType, aws: EmbeddedAws) -> None:
    body = encoded(reaction())
    headers = signed(body, SECRET, int(time.time()), retry_num=3, retry_reason="http_timeout")
    assert receiver.handler(api_gateway_event(body, headers), None)["statusCode"] == 200
    assert len(queued(aws)) == 1


@pytest.mark.parametrize("base64_encoded", [True, False])
def test_f15_the_request_url_is_verified(receiver: ModuleType, base64_encoded: bool) -> None:
    body = encoded(url_verification(Identity(), "a challenge"))
    headers = signed(body, SECRET, int(time.time()))
    answer = receiver.handler(api_gateway_event(body, headers, base64_encoded=base64_encoded), None)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"challenge": "a challenge"})
    assert answer["headers"]["content-type"] == "application/json"


def test_f15_a_challenge_that_is_no_text_is_not_echoed(receiver: ModuleType) -> None:
    answer = deliver(receiver, {"type": "url_verification", "challenge": {"canary": 1}})
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"challenge": ""})


def test_f16_a_rate_limit_is_acknowledged_and_counted(
    receiver: ModuleType, aws: EmbeddedAws, output: Callable[[], str]
) -> None:
    assert deliver(receiver, app_rate_limited(Identity()))["statusCode"] == 200
    assert counted(output()) == {"EventIgnored": "app_rate_limited"}
    assert queued(aws) == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (reaction("tada"), "other_emoji"),
        (reaction(user="U0TOXICITY"), "own_reaction"),
        (reaction(item_user="U0TOXICITY"), "own_message"),
        (reaction(type="app_home_opened"), "unknown_event"),
        (reaction(item={"type": "file", "file": "F1"}), "malformed_event"),
        (reaction() | {"is_ext_shared_channel": True}, "shared_channel"),
        (reaction() | {"event_time": int(time.time()) - 7 * 3600}, "late_event"),
        ({"type": "block_actions"}, "unknown_type"),
        ({}, "unknown_type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_f6_what_calls_for_no_job_is_acknowledged_and_counted(
    payload: dict[str, Any], reason: str, receiver: ModuleType, aws: EmbeddedAws, output: Callable[[], str]
) -> None:
    assert deliver(receiver, payload)["statusCode"] == 200
    assert counted(output()) == {"EventIgnored": reason}
    assert queued(aws) == []


@pytest.mark.parametrize(
    "change", [{"user": "U0DEPLOYBOT"}, {"reaction": "biohazard_sign::skin-tone-3"}, {"item_user": None}]
)
def test_f18_f21_what_calls_for_a_job_gets_one(change: dict[str, Any], receiver: ModuleType, aws: EmbeddedAws) -> None:
    payload = reaction(**change)
    if change == {"item_user": None}:
        del payload["event"]["item_user"]
    assert deliver(receiver, payload)["statusCode"] == 200
    assert len(queued(aws)) == 1


# What others send.


def test_f7_a_forged_request_gets_one_sentence_and_no_retry(
    receiver: ModuleType, aws: EmbeddedAws, output: Callable[[], str]
) -> None:
    answer = deliver(receiver, reaction(), secret="a forger's")
    assert (answer["statusCode"], answer["body"]) == (401, REFUSED)
    assert answer["headers"]["x-slack-no-retry"] == "1"
    assert counted(output()) == {"RequestRefused": "bad_signature"}
    assert queued(aws) == []


def test_f8_f10_an_old_request_is_refused_and_its_age_measured(
    receiver: ModuleType, aws: EmbeddedAws, output: Callable[[], str]
) -> None:
    assert deliver(receiver, reaction(), age=400)["statusCode"] == 401
    lines = [json.loads(line) for line in output().splitlines()]
    assert {name for line in lines for name in line} >= {"RequestRefused", "ClockOffset"}
    (offset,) = next(line["ClockOffset"] for line in lines if "ClockOffset" in line)
    assert offset == pytest.approx(400, abs=5)
    assert queued(aws) == []


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({}, 401),
        ({"headers": None, "body": None}, 401),
        ({"headers": {"X-Slack-Signature": "v0="}, "body": "{}"}, 401),
        ({"body": "{", "isBase64Encoded": True}, 400),
        ({"body": "x" * (256 * 1024 + 1)}, 413),
    ],
)
def test_f12_hostile_requests_get_their_status_and_one_sentence(
    event: dict[str, Any], status: int, receiver: ModuleType
) -> None:
    answer = receiver.handler(event, None)
    assert (answer["statusCode"], answer["body"]) == (status, REFUSED)


@pytest.mark.parametrize("body", [b"[]", b"null", b"\xff", b"[" * 100_000])
def test_f12_signed_nonsense_is_refused(body: bytes, receiver: ModuleType) -> None:
    event = api_gateway_event(b"", signed(body, SECRET, int(time.time())))
    answer = receiver.handler(event | {"body": b64encode(body).decode(), "isBase64Encoded": True}, None)
    assert (answer["statusCode"], answer["body"]) == (400, REFUSED)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    outer=st.sampled_from(["type", "challenge", "team_id", "event", "event_id", "event_time", "authorizations"]),
    inner=st.sampled_from(["type", "user", "item", "item_user", "event_ts"]),
    value=VALUES,
)
def test_no_signed_payload_raises(outer: str, inner: str, value: Any, receiver: ModuleType) -> None:
    # Another emoji, so that nothing is queued: what is tested is the way there.
    for payload in (reaction("tada") | {outer: value}, reaction("tada", **{inner: value})):
        assert deliver(receiver, payload)["statusCode"] == 200


# What fails behind the receiver.


def test_f5_a_queue_that_does_not_answer_makes_slack_send_again(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, output: Callable[[], str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        receiver = imported_with(monkeypatch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        answer = deliver(receiver, reaction())
    assert (answer["statusCode"], answer["body"]) == (503, "Please send this again later.")
    assert "x-slack-no-retry" not in answer["headers"]
    assert counted(output()) == {"ReceiverFailed": "ReadTimeoutError"}


def test_f5_a_queue_that_is_gone_makes_slack_send_again(
    receiver: ModuleType, aws: EmbeddedAws, output: Callable[[], str]
) -> None:
    aws.client("sqs").delete_queue(QueueUrl=aws.queue_url)
    assert deliver(receiver, reaction())["statusCode"] == 503
    printed = output()
    assert counted(printed) == {"ReceiverFailed": "QueueDoesNotExist"}
    assert "Traceback" not in printed


@pytest.mark.parametrize("value", [None, '{"bot_token": "canary"}'])
def test_f5_a_secret_that_cannot_be_used_makes_slack_send_again(
    value: str | None, aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, output: Callable[[], str]
) -> None:
    if value:
        aws.client("secretsmanager").create_secret(Name="test/slack", SecretString=value)
    receiver = imported_with(monkeypatch, SLACK_SECRET_ID="test/slack", SLACK_SIGNING_SECRET="")
    answer = deliver(receiver, reaction())
    assert (answer["statusCode"], answer["body"]) == (503, "Please send this again later.")
    printed = output()
    assert counted(printed) == {"ReceiverFailed": "SettingError" if value else "SecretStoreError"}
    assert "Traceback" not in printed
    assert "canary" not in printed


def test_f44_a_rotated_signing_secret_is_read_again_once_a_minute(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets, now = aws.client("secretsmanager"), [1000.0]

    def store(*signing_secrets: str) -> None:
        text = json.dumps({"signing_secrets": signing_secrets, "bot_token": "xoxb-1"})
        secrets.put_secret_value(SecretId="test/slack", SecretString=text)

    secrets.create_secret(Name="test/slack", SecretString="{}")
    store("first")
    receiver = imported_with(monkeypatch, SLACK_SECRET_ID="test/slack", SLACK_SIGNING_SECRET="")
    monkeypatch.setattr(receiver, "credentials", Credentials(receiver.settings, clock=lambda: now[0]))

    def status(secret: str) -> int:
        return int(deliver(receiver, reaction(), secret)["statusCode"])

    def comes_again(secret: str) -> bool:
        return "x-slack-no-retry" not in deliver(receiver, reaction(), secret)["headers"]

    assert status("first") == 200
    store("second", "first")
    now[0] += SECONDS_BETWEEN_READS
    assert [status("second"), status("first")] == [200, 200], "read again at once; both are good"
    store("third")
    assert [status("third"), status("second")] == [401, 200], "read less than a minute ago: not again"
    assert comes_again("third"), "Slack must not be told to give up what may be right in a minute"
    now[0] += SECONDS_BETWEEN_READS
    assert [status("a forger's"), status("third"), status("second")] == [401, 200, 401]
    store("fourth")
    assert [status("a forger's"), status("fourth")] == [401, 401], "forgers do not make it read more often"


def test_f57_neither_log_nor_queue_hold_what_a_request_says(
    receiver: ModuleType, aws: EmbeddedAws, output: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    payloads = [reaction(text="canary") | {"canary": "canary"}, reaction("tada"), {"type": "canary"}]
    with caplog.at_level("DEBUG"):
        for payload in payloads:
            deliver(receiver, payload)
            deliver(receiver, payload, secret="a forger's")
        receiver.handler({"headers": {"X-Slack-Signature": "canary"}, "body": "canary"}, None)
        aws.client("sqs").delete_queue(QueueUrl=aws.queue_url)
        deliver(receiver, payloads[0])
    shown = output() + caplog.text
    assert "JobQueued" in shown
    for secret in ("canary", SECRET):
        assert secret not in shown


# A process of its own.


def run_receiver(environ: dict[str, str], code: str) -> subprocess.CompletedProcess[str]:
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AWS_DEFAULT_REGION": "eu-west-1"}
    return subprocess.run(
        [sys.executable, "-c", code], env=path | environ, capture_output=True, text=True, check=False, timeout=30
    )


def test_f4_the_receiver_loads_no_model_and_no_client_of_slacks() -> None:
    code = (
        "import sys, receiver; "
        "print([name for name in ('numpy', 'onnxruntime', 'slack_sdk', 'slack_bolt', 'tokenizers', 'fasttext', "
        "'confusable_homoglyphs') if name in sys.modules], 'boto3' in sys.modules)"
    )
    ended = run_receiver({"SLACK_SIGNING_SECRET": "s", "JOBS_QUEUE_URL": "https://sqs/jobs"}, code)
    assert ended.stdout == "[] True\n", ended.stderr


@pytest.mark.parametrize("missing", ["SLACK_SIGNING_SECRET", "JOBS_QUEUE_URL"])
def test_a_missing_setting_ends_the_start_and_is_named(missing: str) -> None:
    environ = {"SLACK_SIGNING_SECRET": "s", "JOBS_QUEUE_URL": "https://sqs/jobs"}
    del environ[missing]
    ended = run_receiver(environ, "import receiver")
    assert ended.returncode != 0
    assert f"SettingError: {missing} is not set" in ended.stderr.splitlines()[-1]
