"""Events from Slack: signatures that slack_sdk accepts, envelopes and retries. Also Lambda's own events."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.utilities.data_classes import SQSEvent

from local.events import (
    USER_AGENT,
    Deliveries,
    app_rate_limited,
    deliver,
    event_callback,
    sqs_event,
    url_verification,
)
from local.workspace import Identity, Workspace
from tests.local.conftest import ADA, GENERAL, GRACE, NOW

if TYPE_CHECKING:
    from local.aws import EmbeddedAws
    from tests.local.conftest import Receiver


@pytest.fixture
def payload(workspace: Workspace) -> dict[str, Any]:
    ts = workspace.post(GENERAL, ADA, "hello")["ts"]
    return event_callback(workspace.react(GENERAL, ts, GRACE, "biohazard_sign"), workspace.identity, lambda: NOW)


def deliveries(receiver: Receiver, waited: list[float], timeout: float = 3.0) -> Deliveries:
    return Deliveries(receiver.url, "secret", timeout=timeout, clock=lambda: NOW, wait=waited.append)


def test_the_envelope_of_a_reaction(payload: dict[str, Any], workspace: Workspace) -> None:
    assert payload["type"] == "event_callback"
    assert (payload["team_id"], payload["api_app_id"], payload["event_time"]) == ("T0LOCAL", "A0TOXICITY", 1731000000)
    assert payload["event"]["reaction"] == "biohazard_sign"
    bot = {"team_id": "T0LOCAL", "user_id": workspace.identity.bot_user_id, "is_bot": True}
    assert payload["authorizations"] == [bot | {"enterprise_id": None, "is_enterprise_install": False}]
    assert payload["is_ext_shared_channel"] is False
    assert payload["event_id"].startswith("Ev")


def test_every_event_has_its_own_id(workspace: Workspace, root: str) -> None:
    first, second = (workspace.react(GENERAL, root, user, "eyes") for user in (ADA, GRACE))
    known = event_callback(first, workspace.identity, lambda: NOW + 60)["event_id"]
    assert event_callback(first, workspace.identity)["event_id"] == known
    assert event_callback(second, workspace.identity)["event_id"] != known
    assert event_callback(first, Identity(team_id="T0OTHER"))["event_id"] != known


def test_url_verification_and_app_rate_limited() -> None:
    assert url_verification(Identity(), "3eZbrw1a")["challenge"] == "3eZbrw1a"
    limited = app_rate_limited(Identity(), lambda: NOW + 59)
    assert (limited["type"], limited["minute_rate_limited"]) == ("app_rate_limited", NOW)
    assert "event" not in limited


def test_a_successful_response_ends_the_delivery(receiver: Receiver, payload: dict[str, Any]) -> None:
    waited: list[float] = []
    (attempt,) = deliveries(receiver, waited).send(payload)
    assert (attempt.status, attempt.failure, attempt.body, waited) == (200, "", b"seen", [])
    assert 0 < attempt.seconds < 3
    (request,) = receiver.requests
    assert json.loads(request.body) == payload
    assert request.headers["User-Agent"] == USER_AGENT
    assert "X-Slack-Retry-Num" not in request.headers
    assert request.is_signed_with("secret")


@pytest.mark.parametrize(
    ("answers", "headers", "failures", "waits"),
    [
        ([500, 302, 404, 503, 503], {}, ["http_error"] * 4, [0, 60, 300]),
        ([500, 204], {}, ["http_error", ""], [0]),
        ([400], {"x-slack-no-retry": "1"}, ["http_error"], []),
        ([0, 200], {}, ["http_timeout", ""], [0]),
    ],
    ids=["three times", "success", "no retry", "no answer"],
)
def test_failed_deliveries_are_retried(
    answers: list[int], headers: dict[str, str], failures: list[str], waits: list[float],
    receiver: Receiver, payload: dict[str, Any],
) -> None:  # fmt: skip
    receiver.headers, receiver.statuses = headers, [*answers]
    waited: list[float] = []
    attempts = deliveries(receiver, waited, timeout=0.5 if 0 in answers else 3).send(payload)
    assert [attempt.failure for attempt in attempts] == failures
    assert [attempt.status for attempt in attempts] == answers[: len(failures)]
    assert (waited, attempts[-1].no_retry) == (waits, bool(headers))
    names = ("X-Slack-Retry-Num", "X-Slack-Retry-Reason")
    retries = [tuple(map(request.headers.get, names)) for request in receiver.requests]
    assert retries == [(None, None), *((str(number), failures[0]) for number in range(1, len(failures)))]
    assert len({request.body for request in receiver.requests}) == 1


def test_a_late_response_and_a_closed_port_are_failures(receiver: Receiver) -> None:
    readings = iter([10.0, 13.5])
    late = deliver(receiver.url, b"{}", {}, stopwatch=lambda: next(readings))
    assert (late.status, late.seconds, late.failure) == (200, 3.5, "http_timeout")
    closed = deliver("http://127.0.0.1:9/", b"{}", {})
    assert (closed.status, closed.failure) == (0, "connection_failed")


@pytest.mark.parametrize("status", [b"200 OK", b"503 Service Unavailable"])
def test_a_response_whose_body_never_arrives_is_a_failure(status: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(deliver, f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {}, 0.2)
        with server.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 5\r\n\r\n" % status)
            found = attempt.result()
    assert (found.status, found.failure, found.body) == (0, "http_timeout", b"")


def test_an_sqs_event_of_received_messages(aws: EmbeddedAws) -> None:
    sqs, url = aws.client("sqs"), aws.queue_url
    sent = sqs.send_message(QueueUrl=url, MessageBody='{"a":1}')
    received = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    (record,) = SQSEvent(sqs_event(received)).records
    assert (record.message_id, record.json_body) == (sent["MessageId"], {"a": 1})
    assert record.md5_of_body == received[0]["MD5OfBody"]
    assert record.attributes.approximate_receive_count == "1"
    assert (record.event_source, record.aws_region) == ("aws:sqs", "eu-central-1")
    assert record.queue_url.endswith("/jobs")


def test_messages_received_without_attributes_are_refused() -> None:
    bare = {"MessageId": "m-1", "ReceiptHandle": "r", "Body": "{}", "MD5OfBody": ""}
    with pytest.raises(ValueError, match=r"m-1 has no attributes.*MessageSystemAttributeNames"):
        sqs_event([bare])
