"""The local gateway passes requests to a function as API Gateway events and its responses to the client."""

import http.client
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from local.events import USER_AGENT, encoded, signed
from toxicity_bot.gateway import MAX_PAYLOAD_BYTES, Gateway, api_gateway_event

NOW = 1731000000.5


def test_powertools_can_read_the_event() -> None:
    payload = {"type": "event_callback", "text": "caf\u00e9"}
    body = encoded(payload)
    headers = signed(body, "secret", int(NOW))
    event = APIGatewayProxyEventV2(api_gateway_event(body, headers, source_ip="198.51.100.4", clock=lambda: NOW))
    assert event.version == "2.0"
    assert (event.raw_path, event.http_method) == ("/slack/events", "POST")
    assert event.request_context.http.source_ip == "198.51.100.4"
    assert event.request_context.http.user_agent == USER_AGENT
    assert (event.request_context.time_epoch, event.request_context.time[:11]) == (1731000000500, "07/Nov/2024")
    assert event.json_body == payload
    assert event["headers"]["x-slack-signature"] == headers["X-Slack-Signature"]
    assert all(name == name.lower() for name in event["headers"])
    packed = api_gateway_event(b"\xff\x00", {}, base64_encoded=True)
    assert (packed["isBase64Encoded"], packed["body"]) == (True, "/wA=")


@pytest.fixture
def connection(_gateway: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.client.HTTPConnection]:
    """A connection to a function that echoes its event."""

    def handler(event: dict[str, Any], _: object) -> dict[str, Any]:
        seen = event["requestContext"]["http"]["method"], event["rawPath"], event["queryStringParameters"]
        return {"statusCode": 203, "headers": {"x-seen": "yes"}, "body": f"{seen}"}

    monkeypatch.setattr(Gateway, "function", SimpleNamespace(handler=handler), raising=False)
    connection = http.client.HTTPConnection(urlsplit(_gateway).netloc, timeout=10)
    yield connection
    connection.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_http_method_reaches_the_function_with_its_query(
    connection: http.client.HTTPConnection, method: str
) -> None:
    for _ in range(2):  # over the same connection
        connection.request(method, "/%24a:b?key=x%26y&alt=&a=1", body=b"{}" if method == "POST" else None)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["x-seen"]) == (203, "yes")
        expected = f"{(method, '/$a:b', {'key': 'x&y', 'alt': '', 'a': '1'})}"
        assert answer.read().decode() == ("" if method == "HEAD" else expected)


@pytest.mark.parametrize(
    ("length", "status"),
    [(str(MAX_PAYLOAD_BYTES + 1), 413), ("9" * 5_000, 413), ("many", 411), ("-1", 411), ("\xb2", 411)],
)
def test_a_body_without_a_usable_length_is_refused(
    connection: http.client.HTTPConnection, length: str, status: int
) -> None:
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", length)
    connection.endheaders()
    assert connection.getresponse().status == status
