"""The receiver's invocation of the worker, against sockets that respond, refuse or stay silent."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from local.aws import EmbeddedAws
from tests import CLOSED
from tests.serving import running
from toxicity_bot import invocation
from toxicity_bot.interactions import UserRequest
from toxicity_bot.jobs import Job

ASK = UserRequest(
    Job("T1", "C1", "1.1", "U1", "1.2.a", 1731000000, "T1", "check"), {"message": {"text": "quetzalcoatlus"}}
)


@pytest.fixture
def patch(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Create a new client for each test, and for the tests after it."""
    invocation._client.cache_clear()
    yield monkeypatch
    invocation._client.cache_clear()


@pytest.mark.failure(102)
def test_the_receiver_does_not_wait_for_a_slow_worker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(invocation, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        patch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert invocation.invoke_worker("worker", ASK) == "ReadTimeoutError"
        asked, _ = silent.accept()
        with asked:
            assert b"/functions/worker/invocations" in asked.recv(65536), (
                "the request was sent, and nobody waits for its response"
            )
        silent.settimeout(0)
        with pytest.raises(BlockingIOError):
            silent.accept()  # a retry would invoke the worker twice


@pytest.mark.failure(54, 102)
def test_an_unreachable_worker_is_logged_and_does_not_stop_the_receiver(
    patch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patch.setenv("AWS_ENDPOINT_URL_LAMBDA", CLOSED)
    assert invocation.invoke_worker("worker", ASK) == "EndpointConnectionError"
    assert [(line.levelname, line.message) for line in caplog.records] == [("ERROR", "worker not invoked")]


class _Lambda(BaseHTTPRequestHandler):
    """Responds with each status in turn and records the port of each call. Status 0 closes the connection."""

    protocol_version = "HTTP/1.1"
    statuses: ClassVar[list[int]]
    came_by: ClassVar[list[int]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.came_by.append(self.client_address[1])
        status = self.statuses.pop(0)
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "2")
        if status == 429:
            self.send_header("x-amzn-ErrorType", "TooManyRequestsException")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        """Log nothing."""


@pytest.mark.failure(54, 102)
@pytest.mark.parametrize(
    ("statuses", "ends", "connections"),
    [
        ([200, 200], ["answered"] * 2, 1),
        ([200, 0, 200], ["answered"] * 2, 2),
        ([0, 0], ["ConnectionClosedError"], 2),
        ([429], ["TooManyRequestsException"], 1),
    ],
)
def test_a_connection_is_reused_and_reopened_once_if_closed_and_the_backup_job_is_the_retry(
    patch: pytest.MonkeyPatch, statuses: list[int], ends: list[str], connections: int
) -> None:
    _Lambda.statuses, _Lambda.came_by = list(statuses), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Lambda)
    with running(server):
        patch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{server.server_port}")
        assert [invocation.invoke_worker("bot-Worker:live", ASK) for _ in ends] == ends
        invocation._client().close()
    assert (len(_Lambda.came_by), len(set(_Lambda.came_by))) == (len(statuses), connections)


def test_a_message_nested_too_deep_for_json_is_left_to_the_backup_job(patch: pytest.MonkeyPatch) -> None:
    nested: list[object] = []
    for _ in range(200_000):
        nested = [nested]
    assert invocation.invoke_worker("worker", UserRequest(ASK.job, {"message": {"blocks": nested}})) == "RecursionError"
