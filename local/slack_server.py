"""A strict Slack on this machine: the Web API at /api/METHOD, answers to interactions at /responses/, and what people
do in the workspace at /local/.

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
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local.block_kit import escaped
from local.events import event_callback, message_event
from local.faults import DROPPED, LIMITS, Faults, RateLimits, Reply
from local.interactions import Interactions
from local.web_api import METHODS, WebApi
from local.workspace import RefusedError, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from local.events import Deliveries, Delivery
    from local.workspace import Event

log = logging.getLogger(__name__)


class BadFieldError(Exception):
    """Raised if a request to /local/ lacks a field or has one that cannot be read."""


@dataclass(frozen=True)
class RecordedCall:
    """One call of a method and its result: `status` 0 is a connection that was reset. The token is left out.

    `started` and `ended` are of `time.perf_counter`.
    """

    method: str
    arguments: dict[str, Any] = field(repr=False)
    status: int
    error: str | None
    started: float = field(default=0, repr=False)
    ended: float = field(default=0, repr=False)
    answered: dict[str, Any] = field(default_factory=dict, repr=False)
    """The answer, where somebody needs it."""


class SlackServer(Interactions):
    """Slack for tests, the demo and local runs; `url` is the `base_url` of slack_sdk's client.

    Reactions of people at /local/react are sent by `deliveries`, if there are any; with `tells_messages` also what they
    write at /local/post, as to an app with the event `message.channels`. `limits` is a key of
    `faults.LIMITS`: Slack's limits on reading messages are enforced, or not. `seen` is told of each call.
    """

    def __init__(
        self,
        workspace: Workspace | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        deliveries: Deliveries | None = None,
        tells_messages: bool = False,
        limits: str = "",
    ) -> None:
        super().__init__(workspace or Workspace.example())
        self.api = WebApi(self.workspace, LIMITS[limits].page)
        self.faults: Faults = RateLimits(LIMITS[limits])
        self.calls: list[RecordedCall] = []
        self.seen: Callable[[RecordedCall], object] = lambda call: None  # noqa: ARG005
        self.closing = threading.Event()
        self._deliveries = deliveries
        self._tells_messages = tells_messages
        self._http = make_server(host, port, self._serve, threaded=True, request_handler=QuietHandler)
        self._http.daemon_threads = False  # type: ignore[attr-defined]  # close() waits for calls under way
        self.address = f"http://{host}:{self._http.port}"
        self.url = f"{self.address}/api/"
        self.responses.address = self.address
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="slack")

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
        return self._recorded(method, arguments, lambda: self.run(method, token, arguments))

    def _recorded(self, method: str, arguments: dict[str, Any], work: Callable[[], Reply]) -> Reply:
        started, fault = time.perf_counter(), self.faults.take(method)
        reply = fault.before(self.closing)
        if reply is None:
            reply = fault.after(work())
        call = RecordedCall(method, arguments, reply.status, reply.error, started, time.perf_counter())
        self.calls.append(call)
        self.seen(call)
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
        elif request.path.startswith("/responses/"):
            reply = self._respond(request)
        else:
            reply = self._act(request)
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

    def _respond(self, request: Request) -> Reply:
        """Take an answer at a `response_url`: no token, and Slack says `ok` as text."""
        body = request.get_data()
        return self._recorded("response_url", json.loads(body), lambda: self.responses.take(request.path, body))

    def _act(self, request: Request) -> Reply:
        """Do what a person asks for; 400 names the wrong field, 404 the paths that exist."""
        actions: dict[str, Callable[[Request], dict[str, Any]]] = {
            "POST /local/post": self._post,
            "POST /local/react": self._react,
            "POST /local/shortcut": lambda given: self._ask(self.message_action, given, "channel ts user callback_id"),
            "POST /local/command": lambda given: self._ask(self.slash_command, given, "channel user text", "command"),
            "POST /local/click": lambda given: self._ask(self.click, given, "channel ts user action_id", "value"),
            "POST /local/form": lambda given: self._ask(self.send_form, given, "user", "note"),
            "GET /local/conversation": self._conversation,
            "GET /local/private": self._private,
            "GET /local/workspace": self._members,
        }
        asked = f"{request.method} {request.path}"
        if asked not in actions:
            return Reply.of({"ok": False, "error": f"{asked} does not exist; there are {', '.join(actions)}"}, 404)
        try:
            return Reply.of({"ok": True, **actions[asked](request)})
        except BadFieldError as error:
            return Reply.of({"ok": False, "error": str(error)}, 400)
        except RefusedError as error:
            return Reply.of({"ok": False, "error": error.code}, 400)

    def _post(self, request: Request) -> dict[str, Any]:
        """Post a message as a person who types it: nothing in it is markup."""
        fields = _fields(request, "channel user text", "thread_ts blocks attachments")
        channel, user, text = fields.pop("channel"), fields.pop("user"), fields.pop("text")
        message = self.workspace.post(channel, user, escaped(text), **fields)
        told = self._delivered(message_event(channel, message)) if self._tells_messages else {}
        return {"message": message} | told

    def _react(self, request: Request) -> dict[str, Any]:
        fields = _fields(request, "channel ts user emoji")
        event = self.workspace.react(fields["channel"], fields["ts"], fields["user"], fields["emoji"].strip(":"))
        return self._delivered(event)

    def _delivered(self, event: Event) -> dict[str, Any]:
        if self._deliveries is None:
            return {"event": event}
        attempts = self._deliveries.send(event_callback(event, self.workspace.identity))
        return {"event": event, "deliveries": [_shown(one) for one in attempts]}

    def _ask(
        self, use: Callable[..., dict[str, Any]], request: Request, required: str, optional: str = ""
    ) -> dict[str, Any]:
        """Use a shortcut, a command, a button or a form."""
        payload = use(**_fields(request, required, optional))
        return {"payload": payload} | ({"delivery": _shown(self._deliveries.ask(payload))} if self._deliveries else {})

    def _private(self, request: Request) -> dict[str, Any]:
        """Return what only one person has seen."""
        if "user" not in request.args:
            raise BadFieldError("user is missing: ask for /local/private?user=U...")
        return {"messages": [one for one in self.workspace.ephemerals if one["user"] == request.args["user"]]}

    def _conversation(self, request: Request) -> dict[str, Any]:
        if "channel" not in request.args:
            raise BadFieldError("channel is missing: ask for /local/conversation?channel=C...")
        return {"messages": self.workspace.conversation(request.args["channel"])}

    def _members(self, _request: Request) -> dict[str, Any]:
        users = [{"id": user.id, "name": user.name, "is_bot": bool(user.bot_id)} for user in self.workspace.users]
        channels = [{"id": one.id, "name": one.name, "kind": one.kind} for one in self.workspace.channels]
        return {"bot_user_id": self.workspace.identity.bot_user_id, "users": users, "channels": channels}


def _shown(delivery: Delivery) -> dict[str, Any]:
    return {name: asdict(delivery)[name] for name in ("status", "seconds", "failure")}


class QuietHandler(WSGIRequestHandler):
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


def _fields(request: Request, required: str, optional: str = "") -> dict[str, Any]:
    """Return the JSON object in the body; raises BadFieldError with the field that is missing, unknown or no text."""
    try:
        fields = json.loads(request.get_data())
    except ValueError as error:
        raise BadFieldError("the body is not JSON") from error
    if not isinstance(fields, dict):
        raise BadFieldError(f"the body is not a JSON object with {required}")
    for name in required.split():
        if not isinstance(fields.get(name), str):
            raise BadFieldError(f"{name} is missing or not a string; required are: {required}")
    for name in fields:
        if name not in f"{required} {optional}".split():
            raise BadFieldError(f"{name} is unknown; known are: {required} {optional}")
    return fields


def _reset(environ: WSGIEnvironment) -> None:
    """Reset the connection: close() sends RST if the socket lingers for 0 seconds and its reader is closed too."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    environ["wsgi.input"].close()
    connection.close()
    raise ConnectionAbortedError("reset on purpose")
