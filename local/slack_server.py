"""A strict Slack on this machine: the Web API at /api/METHOD and the control surface at /local/.

    with SlackServer(Workspace.example()) as slack:
        client = WebClient(token=slack.workspace.token, base_url=slack.url)

Every call is recorded, and goes wrong where `faults` says so. In the foreground: python -m local.slack_server
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import socket
import struct
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from local.control import Control
from local.events import Deliveries
from local.faults import DROPPED, Faults, Reply
from local.web_api import METHODS, WebApi
from local.workspace import RefusedError, Workspace

if TYPE_CHECKING:
    from types import TracebackType

log = logging.getLogger(__name__)

IDLE_SECONDS = 10  # a client that connects and says nothing does not keep `close` waiting for longer


@dataclass(frozen=True)
class RecordedCall:
    """One call of a method as it ended: `status` 0 is a connection that was reset. The token is left out."""

    method: str
    arguments: dict[str, Any]
    status: int
    error: str | None


class SlackServer:
    """Slack for tests, the demo and local runs; `url` is what slack_sdk's `base_url` takes."""

    def __init__(
        self,
        workspace: Workspace | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        deliveries: Deliveries | None = None,
    ) -> None:
        self.workspace = workspace or Workspace.example()
        self.api = WebApi(self.workspace)
        self.control = Control(self.workspace, deliveries)
        self.faults = Faults()
        self.calls: list[RecordedCall] = []
        self.closing = threading.Event()
        self._http = _HttpServer(self, (host, port))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="slack")

    @property
    def address(self) -> str:
        return "http://{}:{}".format(*self._http.server_address)

    @property
    def url(self) -> str:
        return f"{self.address}/api/"

    def calls_of(self, method: str) -> list[RecordedCall]:
        return [call for call in self.calls if call.method == method]

    def start(self) -> SlackServer:
        self._thread.start()
        return self

    def close(self) -> None:
        """Ends whatever is slow on purpose, waits for calls under way, and frees the port."""
        self.closing.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    def __enter__(self) -> SlackServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def answer(self, method: str, token: str | None, arguments: dict[str, Any]) -> Reply:
        """Do what `method` asks, unless a fault is in the way, and record how it ended."""
        fault = self.faults.take(method)
        reply = fault.before(self.closing)
        if reply is None:
            reply = fault.after(self._worked(method, token, arguments))
        self.calls.append(RecordedCall(method, arguments, reply.status, reply.error))
        return reply

    def _worked(self, method: str, token: str | None, arguments: dict[str, Any]) -> Reply:
        accepted = ",".join(METHODS[method].scopes) if method in METHODS else ""
        scopes = {"X-OAuth-Scopes": ",".join(sorted(self.workspace.scopes)), "X-Accepted-OAuth-Scopes": accepted}
        try:
            return Reply.of(self.api.call(method, token, arguments), headers=scopes)
        except RefusedError as error:
            return Reply.of({"ok": False, "error": error.code, **error.details}, headers=scopes)
        except Exception:  # a mistake in here must not look like a lost connection
            log.exception("%s failed in the local Slack", method)
            return Reply.of({"ok": False, "error": "internal_error"}, 500)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = False  # close() waits for calls under way

    def __init__(self, slack: SlackServer, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler)
        self.slack = slack


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        self._handle(b"")

    def do_POST(self) -> None:
        self._handle(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing: tokens may be in the address, texts are in the body."""

    def _handle(self, body: bytes) -> None:
        address = urlsplit(self.path)
        slack = self.server.slack
        if address.path.startswith("/api/"):
            reply = self._api(address.path.removeprefix("/api/"), address.query, body)
        elif address.path.startswith("/local/"):
            status, answer = slack.control.answer(self.command, address.path, address.query, body)
            reply = Reply.of(answer, status)
        else:
            reply = Reply.of({"ok": False, "error": f"{address.path} is nothing here; see /api/ and /local/"}, 404)
        try:
            self._send(reply)
        except ConnectionError:
            log.info("the client of %s has gone before the answer", address.path)

    def _api(self, method: str, query: str, body: bytes) -> Reply:
        try:
            arguments = dict(parse_qsl(query, keep_blank_values=True)) | self._body_arguments(method, body)
        except RefusedError as error:
            return Reply.of({"ok": False, "error": error.code})
        posted_token = arguments.pop("token", None)
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return self.server.slack.answer(method, token if kind == "Bearer" else posted_token, arguments)

    def _body_arguments(self, method: str, body: bytes) -> dict[str, Any]:
        """Slack ignores JSON sent to methods that only read: their arguments are missing then."""
        if not body:
            return {}
        kind = self.headers.get_content_type()
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode(), keep_blank_values=True))
        if kind != "application/json":
            raise RefusedError("invalid_post_type")
        try:
            arguments = json.loads(body)
        except ValueError as error:
            raise RefusedError("invalid_json") from error
        if not isinstance(arguments, dict):
            raise RefusedError("json_not_object")
        return arguments if method in METHODS and METHODS[method].takes_json else {}

    def _send(self, reply: Reply) -> None:
        if reply is DROPPED:
            # Lingering for 0 seconds makes close() send RST; the buffered reader holds the socket open until then.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()
            return
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.slack_server", description="A Slack on this machine.")
    parser.add_argument("--port", type=int, default=8090, help="0 takes any that is free")
    parser.add_argument(
        "--request-url", help="where reactions are delivered, such as http://127.0.0.1:3000/slack/events"
    )
    options = parser.parse_args()
    workspace = Workspace.example()
    slack = SlackServer(workspace, port=options.port)
    if options.request_url:
        slack.control.deliveries = Deliveries(
            options.request_url, workspace.signing_secret, delays=(0, 2, 10), wait=slack.closing.wait
        )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: slack.closing.set())
    with slack:
        print(f"SLACK_API_URL={slack.url}", flush=True)
        print(f"SLACK_BOT_TOKEN={workspace.token}")
        print(f"SLACK_SIGNING_SECRET={workspace.signing_secret}", flush=True)
        slack.closing.wait()


if __name__ == "__main__":
    main()
