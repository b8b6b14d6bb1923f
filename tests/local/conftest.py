"""Fixtures: a local Slack with two people, a fixed clock, slack_sdk's client without retries, a scripted receiver."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import Clock, SignatureVerifier
from werkzeug.wrappers import Request, Response

from local.serving import Server
from local.slack_server import SlackServer
from local.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

GENERAL, PRIVATE, RANDOM, ADA, GRACE = "C0GENERAL", "C0PRIVATE", "C0RANDOM", "U0ADA", "U0GRACE"
NOW = 1731000000.0


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.example(clock=lambda: NOW)


@pytest.fixture
def slack(workspace: Workspace) -> Iterator[SlackServer]:
    with SlackServer(workspace) as server:
        yield server


@pytest.fixture
def client(slack: SlackServer) -> WebClient:
    return WebClient(token=slack.workspace.token, base_url=slack.url, retry_handlers=[], timeout=5)


def refusal(call: Callable[..., object], *given: Any, **arguments: Any) -> dict[str, Any]:
    """Slack's response to a call by slack_sdk's client that Slack refuses."""
    with pytest.raises(SlackApiError) as caught:
        call(*given, **arguments)
    answer = caught.value.response.data
    assert isinstance(answer, dict)
    assert answer["ok"] is False
    return answer


@pytest.fixture
def root(workspace: Workspace) -> str:
    """The ts of the first message in the channel."""
    return str(workspace.post(GENERAL, ADA, "root")["ts"])


@pytest.fixture
def reply(workspace: Workspace, root: str) -> str:
    """The ts of a reply to the first message."""
    return str(workspace.post(GENERAL, GRACE, "reply", thread_ts=root)["ts"])


class FixedClock(Clock):
    def now(self) -> float:
        return NOW


class Received(NamedTuple):
    headers: Mapping[str, str]
    body: bytes

    def is_signed_with(self, secret: str) -> bool:
        """Whether slack_sdk accepts the request."""
        return SignatureVerifier(secret, FixedClock()).is_valid_request(self.body, dict(self.headers))


class Receiver:
    """A receiver that returns scripted statuses in turn, then 200. Status 0 sends no response until the test ends."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.closing = threading.Event()
        self.url = ""

    def answer(self, request: Request) -> Response:
        self.requests.append(Received(dict(request.headers), request.get_data()))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            self.closing.wait()
        return Response("seen", status, self.headers)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with Server(Request.application(receiver.answer)) as server:
        receiver.url = f"{server.address}/slack/events"
        yield receiver
        receiver.closing.set()
