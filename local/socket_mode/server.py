"""Socket Mode for the local Slack: WebSocket URLs with a ticket, hello messages, envelopes and acknowledgements.

https://docs.slack.dev/apis/events-api/using-socket-mode
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import struct
import threading
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

import simple_websocket
from werkzeug.wrappers import Request
from wsproto.utilities import LocalProtocolError

from local.faults import Reply
from local.slack_server import SlackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from local.workspace import Workspace

PATH = "/link"
# Exceptions of a WebSocket that has ended or is closing.
ENDED = (OSError, simple_websocket.ConnectionClosed, LocalProtocolError)
Reason = Literal["warning", "refresh_requested", "link_disabled"]
Kind = Literal["events_api", "interactive", "slash_commands"]


class Link:
    """A WebSocket connection of the app."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._socket: socket.socket = environ["werkzeug.socket"]
        self._socket.settimeout(None)  # the server's timeout is for requests; the client sends pings
        self._web_socket = simple_websocket.Server.accept(environ)
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message. If the connection is dead, the message is lost."""
        with self._lock, contextlib.suppress(*ENDED):
            self._web_socket.send(json.dumps(message))

    def receive(self) -> dict[str, Any] | None:
        """Return the next message from the app, or None if the connection has ended."""
        try:
            return dict(json.loads(self._web_socket.receive()))
        except ENDED:
            return None

    def disconnect(self, reason: Reason) -> None:
        """Ask the app to reconnect, or tell it that Socket Mode is off."""
        self.send({"type": "disconnect", "reason": reason, "debug_info": {"host": "local"}})

    def close(self) -> None:
        """Close the connection with a WebSocket close frame."""
        with self._lock, contextlib.suppress(*ENDED):
            self._web_socket.close()

    def drop(self, *, reset: bool = False) -> None:
        """Drop the connection without a close frame, or with a reset."""
        with contextlib.suppress(OSError):
            if reset:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # This wakes the reading thread, which then closes the socket.
            self._socket.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)


class SocketModeSlack(SlackServer):
    """A local Slack that the app connects to with `app_token`.

    Unacknowledged envelopes are sent again every `resend_seconds`. If `drop_ack()` is true, an acknowledgement is lost.
    """

    def __init__(
        self,
        workspace: Workspace | None = None,
        *,
        resend_seconds: float = 3,
        drop_ack: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(workspace)
        self.app_token = "xapp-1-A0TOXICITY-local"
        self.links: list[Link] = []
        self.deliveries: Counter[str] = Counter()
        """How often each envelope was sent, by envelope id."""
        self.answers: dict[str, Any] = {}
        """The payloads of the app's acknowledgements, by envelope id."""
        self._resend_seconds = resend_seconds
        self._drop_ack = drop_ack
        self._tickets: set[str] = set()
        self._waiting: dict[str, dict[str, Any]] = {}
        self._change = threading.Condition()
        self._sender = threading.Thread(target=self._resend, name="envelopes")

    def start(self) -> SocketModeSlack:
        self._sender.start()
        super().start()
        return self

    def close(self) -> None:
        self.closing.set()
        self._sender.join()
        for link in list(self.links):
            link.drop()
        super().close()

    def send(self, payload: dict[str, Any], kind: Kind = "events_api", *, copies: int = 1) -> str:
        """Send an envelope `copies` times. Return its id."""
        envelope_id = str(uuid.uuid4())
        message = {"envelope_id": envelope_id, "type": kind, "payload": payload}
        self._waiting[envelope_id] = message | {"accepts_response_payload": kind != "events_api"}
        for _ in range(copies):
            self._transmit(envelope_id)
        return envelope_id

    def wait_until(self, condition: Callable[[], bool], timeout: float = 30) -> bool:
        """Wait for a condition. It is checked whenever a connection opens or closes, and at each acknowledgement."""
        with self._change:
            return self._change.wait_for(condition, timeout)

    @property
    def unacknowledged(self) -> int:
        return len(self._waiting)

    def run(self, method: str, token: str | None, arguments: dict[str, Any]) -> Reply:
        if method != "apps.connections.open":
            return super().run(method, token, arguments)
        if token != self.app_token:
            return Reply.of({"ok": False, "error": "invalid_auth" if token else "not_authed"})
        ticket = secrets.token_urlsafe()
        self._tickets.add(ticket)
        address = self.address.replace("http:", "ws:")
        return Reply.of({"ok": True, "url": f"{address}{PATH}?{urlencode({'ticket': ticket})}"})

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            return super()._serve(environ, start_response)
        try:
            self._tickets.remove(Request(environ).args["ticket"])
        except KeyError:
            start_response("403 Forbidden", [])
            return []
        self._handle_link(Link(environ))
        raise ConnectionAbortedError("no HTTP answer follows a WebSocket")

    def _handle_link(self, link: Link) -> None:
        """Send hello, and process acknowledgements until the connection ends."""
        with self._change:
            link.send({"type": "hello", "num_connections": len(self.links) + 1, "connection_info": {"app_id": "A0"}})
            self.links.append(link)
            self._change.notify_all()
        self._transmit(*self._waiting)
        while (message := link.receive()) is not None:
            with self._change:
                if not self._drop_ack():
                    self._waiting.pop(message["envelope_id"], None)
                    self.answers[message["envelope_id"]] = message.get("payload")
                self._change.notify_all()
        with self._change:
            self.links.remove(link)
            self._change.notify_all()

    def _resend(self) -> None:
        """Send unacknowledged envelopes again at intervals."""
        while not self.closing.wait(self._resend_seconds):
            self._transmit(*self._waiting)

    def _transmit(self, *envelopes: str) -> None:
        """Send envelopes through the newest connection, if there is one."""
        for envelope_id in envelopes:
            with self._change:
                link = self.links[-1] if self.links else None
                message = self._waiting.get(envelope_id)
                attempt = self.deliveries[envelope_id]
                self.deliveries[envelope_id] += link is not None and message is not None
            if link and message:
                link.send(message | {"retry_attempt": attempt, "retry_reason": "timeout" if attempt else ""})
