"""A strict local Slack: the Web API at /api/METHOD, response URLs at /responses/, and people's actions at /local/.

    with SlackServer(Workspace.example()) as slack:
        client = WebClient(token=slack.workspace.token, base_url=slack.url)

Every call is recorded, and fails if `faults` says so. `make local-services` runs it next to embedded AWS.
"""

from __future__ import annotations

import json
import logging
import socket
import struct
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from local.block_kit import escaped
from local.events import event_callback, message_event
from local.faults import DROPPED, LIMITS, Faults, Postponed, RateLimits, Reply
from local.interactions import Interactions
from local.serving import Server, WrongRequestError, call
from local.web_api import METHODS, WebApi
from local.workspace import RefusedError, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from local.events import Deliveries, Delivery
    from local.workspace import Event

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedCall:
    """One call of a method and its result, without the token. `status` 0 means that the connection was reset.

    `started` and `ended` are values of `time.perf_counter`.
    """

    method: str
    arguments: dict[str, Any] = field(repr=False)
    status: int
    error: str | None
    started: float = field(default=0, repr=False)
    ended: float = field(default=0, repr=False)
    answered: dict[str, Any] = field(default_factory=dict, repr=False)
    """The answer, only recorded for calls of AWS."""


class SlackServer(Server, Interactions):
    """Slack for tests, the demo and local runs. `url` is the `base_url` for slack_sdk's client.

    `deliveries` sends the events for reactions at /local/react, and with `send_message_events` also for messages at
    /local/post, as to an app with the event `message.channels`. `limits` is a key of `faults.LIMITS`, Slack's rate
    limits on reading messages. `on_call` is called with each recorded call.
    """

    def __init__(
        self,
        workspace: Workspace | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        deliveries: Deliveries | None = None,
        send_message_events: bool = False,
        limits: str = "",
    ) -> None:
        Server.__init__(self, self._serve, host, port, finish_requests=True)
        Interactions.__init__(self, workspace or Workspace.example(), self.address)
        self.url = f"{self.address}/api/"
        self.api = WebApi(self.workspace, LIMITS[limits].page)
        self.faults: Faults = RateLimits(LIMITS[limits])
        self.calls: list[RecordedCall] = []
        self.on_call: Callable[[RecordedCall], object] = lambda call: None  # noqa: ARG005
        self.closing = threading.Event()
        self._deliveries = deliveries
        self._send_message_events = send_message_events

    def calls_of(self, method: str) -> list[RecordedCall]:
        return [call for call in self.calls if call.method == method]

    def close(self) -> None:
        """End calls that are slow on purpose, wait for calls in progress, and free the port."""
        self.closing.set()
        super().close()

    def answer(self, method: str, token: str | None, arguments: dict[str, Any]) -> Reply:
        """Run `method` unless a fault replaces it, and record the result."""
        return self._recorded(method, arguments, lambda: self.run(method, token, arguments))

    def _recorded(self, method: str, arguments: dict[str, Any], work: Callable[[], Reply]) -> Reply:
        started, fault = time.perf_counter(), self.faults.take(method)
        reply = fault.before(self.closing)
        if reply is None:
            reply = fault.after(work())
        elif isinstance(reply, Postponed):
            threading.Timer(reply.seconds, work).start()
            reply = DROPPED
        call = RecordedCall(method, arguments, reply.status, reply.error, started, time.perf_counter())
        self.calls.append(call)
        self.on_call(call)
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
        """Accept an answer at a `response_url`. It needs no token, and Slack responds with the text `ok`."""
        body = request.get_data()
        return self._recorded("response_url", json.loads(body), lambda: self.respond(request.path, body))

    def _act(self, request: Request) -> Reply:
        """Run a person's action. Status 400 names the wrong field, 404 lists the paths."""
        interactions: dict[str, Callable[..., dict[str, Any]]] = {
            "POST /local/shortcut": self.message_action,
            "POST /local/command": self.slash_command,
            "POST /local/click": self.click,
            "POST /local/form": self.send_form,
        }
        actions = interactions | {
            "POST /local/post": self._post,
            "POST /local/react": self._react,
            "GET /local/conversation": self._conversation,
            "GET /local/private": self._private,
            "GET /local/workspace": self._members,
        }
        route = f"{request.method} {request.path}"
        if route not in actions:
            return Reply.of({"ok": False, "error": f"{route} does not exist; there are {', '.join(actions)}"}, 404)
        body = request.get_data() if request.method == "POST" else json.dumps(request.args).encode()
        try:
            done = call(actions[route], body)
        except WrongRequestError as error:
            return Reply.of({"ok": False, "error": str(error)}, 400)
        except RefusedError as error:
            return Reply.of({"ok": False, "error": error.code}, 400)
        return Reply.of({"ok": True, **(self._send_interaction(done) if route in interactions else done)})

    def _send_interaction(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Send the payload of a shortcut, command, click or form to the app."""
        return {"payload": payload} | ({"delivery": _shown(self._deliveries.ask(payload))} if self._deliveries else {})

    def _post(
        self, channel: str, user: str, text: str, thread_ts: str | None = None,
        blocks: list[dict[str, Any]] | None = None, attachments: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Post a message as if a person typed it: nothing in it is markup."""
        message = self.workspace.post(
            channel, user, escaped(text), thread_ts=thread_ts, blocks=blocks, attachments=attachments
        )
        told = self._delivered(message_event(channel, message)) if self._send_message_events else {}
        return {"message": message} | told

    def _react(self, channel: str, ts: str, user: str, emoji: str) -> dict[str, Any]:
        return self._delivered(self.workspace.react(channel, ts, user, emoji.strip(":")))

    def _delivered(self, event: Event) -> dict[str, Any]:
        if self._deliveries is None:
            return {"event": event}
        attempts = self._deliveries.send(event_callback(event, self.workspace.identity))
        return {"event": event, "deliveries": [_shown(one) for one in attempts]}

    def _private(self, user: str) -> dict[str, Any]:
        """Return the ephemeral messages that a person saw."""
        return {"messages": [one for one in self.workspace.ephemerals if one["user"] == user]}

    def _conversation(self, channel: str) -> dict[str, Any]:
        return {"messages": self.workspace.conversation(channel)}

    def _members(self) -> dict[str, Any]:
        users = [{"id": user.id, "name": user.name, "is_bot": bool(user.bot_id)} for user in self.workspace.users]
        channels = [{"id": one.id, "name": one.name, "kind": one.kind} for one in self.workspace.channels]
        return {"bot_user_id": self.workspace.identity.bot_user_id, "users": users, "channels": channels}


def _shown(delivery: Delivery) -> dict[str, Any]:
    return {name: asdict(delivery)[name] for name in ("status", "seconds", "failure")}


def _body_arguments(method: str, request: Request) -> dict[str, Any]:
    """Return the arguments in the body. Slack ignores JSON bodies for methods that only read."""
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
