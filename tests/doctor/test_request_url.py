"""The request URL: the receiver behind it, another bot's, none, or something else that answers there."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

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
    class Stranger(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status if "X-Slack-Signature" in self.headers else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        report = examine("--request-url", f"http://127.0.0.1:{server.server_port}/slack/events")
        server.shutdown()
        thread.join()
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
