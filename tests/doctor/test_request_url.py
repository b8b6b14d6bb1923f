"""The request URL: another bot's receiver behind it, none, or something else that answers there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from werkzeug.wrappers import Request, Response

from tests.serving import serving

if TYPE_CHECKING:
    from local.slack_server import SlackServer
    from tests.doctor.conftest import Examine


def test_a_receiver_with_another_signing_secret_is_found(examine: Examine, request_url: str) -> None:
    report = examine("--request-url", request_url, SLACK_SIGNING_SECRET="another-secret")
    report.expect({"request url": ("wrong", "challenge got 401")})


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b'{"challenge": "yesterday\'s"}', "got 200 where its echo is right"),
        (200, b"<html>Welcome</html>", "got 200 where its echo is right"),
        (503, b"", "the receiver cannot read its secret"),
    ],
)
def test_a_wrong_answer_to_the_challenge_is_found(examine: Examine, status: int, body: bytes, words: str) -> None:
    @Request.application
    def stranger(request: Request) -> Response:
        return Response(body, status if "X-Slack-Signature" in request.headers else 401)

    with serving(stranger) as address:
        examine("--request-url", f"{address}/slack/events").expect({"request url": ("wrong", words)})


def test_a_receiver_that_takes_no_forms_is_found(examine: Examine) -> None:
    @Request.application
    def older(request: Request) -> Response:
        """A receiver of the version before shortcuts and commands."""
        if "X-Slack-Signature" not in request.headers:
            return Response(status=401)
        return Response(request.data, 200) if request.is_json else Response(status=400)

    with serving(older) as address:
        report = examine("--request-url", f"{address}/slack/events")
    report.expect({"request url": ("wrong", "a signed form, as of a shortcut or a command, got 400")})


def test_an_address_where_nothing_listens_is_found(examine: Examine, closed_port: int) -> None:
    report = examine("--request-url", f"http://127.0.0.1:{closed_port}/slack/events")
    report.expect({"request url": ("wrong", "no answer (connection_failed)")})


def test_an_address_that_answers_unsigned_requests_is_found(examine: Examine, slack: SlackServer) -> None:
    report = examine("--request-url", f"{slack.url}auth.test")
    report.expect({"request url": ("wrong", "an unsigned request got 200 where 401 is right")})
