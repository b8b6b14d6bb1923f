"""The request URL: the receiver behind it, another bot's, none, or something else that answers there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from local.slack_server import SlackServer
    from tests.doctor.conftest import Examine


def test_a_receiver_with_another_signing_secret_is_found(examine: Examine, request_url: str) -> None:
    report = examine("--request-url", request_url, SLACK_SIGNING_SECRET="another-secret")
    assert report.mark("request url") == "wrong"
    assert "challenge got 401" in report.told("request url")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b'{"challenge": "yesterday\'s"}', "got 200 where its echo is right"),
        (200, b"<html>Welcome</html>", "got 200 where its echo is right"),
        (503, b"", "the receiver cannot read its secret"),
    ],
)
def test_whatever_answers_in_the_receivers_place_is_found(
    examine: Examine, status: int, body: bytes, words: str
) -> None:
    @Request.application
    def stranger(request: Request) -> Response:
        return Response(body, status if "X-Slack-Signature" in request.headers else 401)

    server = make_server("127.0.0.1", 0, stranger)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    report = examine("--request-url", f"http://127.0.0.1:{server.port}/slack/events")
    server.shutdown()
    thread.join()
    server.server_close()
    assert report.mark("request url") == "wrong"
    assert words in report.told("request url")


def test_a_receiver_that_is_away_is_found(examine: Examine, closed_port: int) -> None:
    report = examine("--request-url", f"http://127.0.0.1:{closed_port}/slack/events")
    assert report.mark("request url") == "wrong"
    assert "no answer (connection_failed)" in report.told("request url")


def test_an_address_that_is_not_the_receivers_is_found(examine: Examine, slack: SlackServer) -> None:
    report = examine("--request-url", f"{slack.url}auth.test")
    assert report.mark("request url") == "wrong"
    assert "an unsigned request got 200 where 401 is right" in report.told("request url")
