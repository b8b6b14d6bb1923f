"""See the calls of the bot's functions to the local Slack and to embedded AWS, with their times."""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from werkzeug.test import run_wsgi_app

from local.response_urls import ResponseUrls
from local.slack_server import SlackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from local.faults import Reply
    from local.workspace import Workspace

    Seen: TypeAlias = Callable[["Call"], None]


UNWATCHED = "HTTP_X_UNWATCHED"


@dataclass(frozen=True)
class Call:
    """One call; `started` and `ended` are of `time.perf_counter`, `error` is empty if it succeeded."""

    operation: str
    """Of Slack, such as chat.postMessage, or of AWS, such as SendMessage."""
    started: float
    ended: float
    error: str = ""
    asked: dict[str, Any] = field(default_factory=dict, repr=False)
    answered: dict[str, Any] = field(default_factory=dict, repr=False)


class WatchedSlack(SlackServer):
    """A local Slack that tells `seen` of each call."""

    def __init__(self, workspace: Workspace, seen: Seen) -> None:
        super().__init__(workspace)
        self._seen = seen
        self.responses = _WatchedResponses(lambda: self.workspace, self.address)
        self.responses.seen = seen

    def answer(self, method: str, token: str | None, arguments: dict[str, Any]) -> Reply:
        started = time.perf_counter()
        reply = super().answer(method, token, arguments)
        self._seen(Call(method, started, time.perf_counter(), reply.error or "", arguments))
        return reply


class _WatchedResponses(ResponseUrls):
    seen: Seen

    def take(self, path: str, body: bytes) -> Reply:
        started = time.perf_counter()
        reply = super().take(path, body)
        self.seen(Call("response_url", started, time.perf_counter(), reply.error or "", json.loads(body)))
        return reply


class WatchedAws:
    """A WSGI application that passes requests on, and tells `seen` of the calls in AWS's JSON protocol."""

    def __init__(self, application: WSGIApplication, seen: Seen) -> None:
        self._application, self._seen = application, seen

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[2]
        if not operation or UNWATCHED in environ:
            return self._application(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        started = time.perf_counter()
        again = {**environ, "wsgi.input": io.BytesIO(body)}
        chunks, status, headers = run_wsgi_app(self._application, again)
        answer = b"".join(chunks)
        answered = json.loads(answer or b"{}")
        error = "" if status.startswith("200") else str(answered.get("__type", status)).rpartition("#")[2]
        self._seen(Call(operation, started, time.perf_counter(), error, json.loads(body or b"{}"), answered))
        start_response(status, headers.to_wsgi_list())
        return [answer]


def unwatched(client: Any) -> Any:
    """Return a client of boto3 whose calls are the page's own and not seen."""
    client.meta.events.register("before-call", lambda params, **_: params["headers"].update({"X-Unwatched": "1"}))
    return client
