"""A strict Slack on this machine: the Web API at /api/METHOD, and what people do in the workspace at /local/.

    with SlackServer(Workspace.example()) as slack:
        client = WebClient(token=slack.workspace.token, base_url=slack.url)

Every call is recorded, and fails where `faults` says so. `make local-services` runs it beside embedded AWS.
"""

from __future__ import annotations

import json
import logging
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local.control import Control
from local.faults import DROPPED, Faults, Reply
from local.web_api import METHODS, WebApi
from local.workspace import RefusedError, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from local.events import Deliveries

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedCall:
    """One call of a method and its result: `status` 0 is a connection that was reset. The token is left out."""

    method: str
    arguments: dict[str, Any]
    status: int
    error: str | None


class SlackServer:
    """Slack for tests, the demo and local runs; `url` is the `base_url` of slack_sdk's client."""

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
        self._http = make_server(host, port, self._serve, threaded=True, request_handler=_QuietHandler)
        self._http.daemon_threads = False  # type: ignore[attr-defined]  # close() waits for calls under way
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="slack")
        self.address = f"http://{host}:{self._http.port}"
        self.url = f"{self.address}/api/"

    def calls_of(self, method: str) -> list[RecordedCall]:
        return [call for call in self.calls if call.method == method]

    def start(self) -> Self:
        self._thread.start()
        return self

    def close(self) -> None:
        """End calls that are slow on purpose, wait for calls under way, and free the port."""
        self.closing.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, method: str, token: str | None, arguments: dict[str, Any]) -> Reply:
        """Run `method` unless a fault prevents it, and record the result."""
        fault = self.faults.take(method)
        reply = fault.before(self.closing)
        if reply is None:
            reply = fault.after(self.run(method, token, arguments))
        self.calls.append(RecordedCall(method, arguments, reply.status, reply.error))
        return reply

    def run(self, method: str, token: str | None, arguments: dict[str, Any]) -> Reply:
        """Run `method` without faults and without recording it."""
        accepted = ",".join(METHODS[method].scopes) if method in METHODS else ""
        scopes = {"X-OAuth-Scopes": ",".join(sorted(self.workspace.scopes)), "X-Accepted-OAuth-Scopes": accepted}
        try:
            return Reply.of(self.api.call(method, token, arguments), headers=scopes)
        except RefusedError as error:
            return Reply.of({"ok": False, "error": error.code, **error.details}, headers=scopes)
        except Exception:  # a bug in here must not look like a lost connection
            log.exception("%s failed in the local Slack", method)
            return Reply.of({"ok": False, "error": "internal_error"}, 500)

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        if request.path.startswith("/api/"):
            reply = self._call(request.path.removeprefix("/api/"), request)
        elif request.path.startswith("/local/"):
            body = request.get_data()
            status, answer = self.control.answer(request.method, request.path, request.args.getlist("channel"), body)
            reply = Reply.of(answer, status)
        else:
            reply = Reply.of({"ok": False, "error": f"{request.path} does not exist; see /api/ and /local/"}, 404)
        if reply is DROPPED:
            _reset(environ)
        return Response(reply.body, reply.status, reply.headers)(environ, start_response)

    def _call(self, method: str, request: Request) -> Reply:
        try:
            arguments = request.args.to_dict() | _body_arguments(method, request)
        except RefusedError as error:
            return Reply.of({"ok": False, "error": error.code})
        posted_token = arguments.pop("token", None)
        bearer = request.authorization and request.authorization.token
        return self.answer(method, bearer or posted_token, arguments)


class _QuietHandler(WSGIRequestHandler):
    """Logs nothing: addresses may contain tokens, and bodies contain texts."""

    timeout = 10  # seconds; close() waits no longer for a client that connects and sends nothing

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


def _body_arguments(method: str, request: Request) -> dict[str, Any]:
    """Return the arguments in the body; Slack ignores JSON sent to methods that only read."""
    if request.mimetype == "application/x-www-form-urlencoded":
        return request.form.to_dict()
    body = request.get_data()
    if not body:
        return {}
    if request.mimetype != "application/json":
        raise RefusedError("invalid_post_type")
    try:
        arguments = json.loads(body)
    except ValueError as error:
        raise RefusedError("invalid_json") from error
    if not isinstance(arguments, dict):
        raise RefusedError("json_not_object")
    return arguments if method in METHODS and METHODS[method].takes_json else {}


def _reset(environ: WSGIEnvironment) -> None:
    """Reset the connection: close() sends RST if the socket lingers for 0 seconds and its reader is closed too."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    environ["wsgi.input"].close()
    connection.close()
    raise ConnectionAbortedError("reset on purpose")
