"""Serialise the requests to moto, except that a long poll of a queue does not block the others.

moto's queues and tables are plain Python objects: two threads in `DeleteMessage` and `SendMessage` can lose a message,
and two conditional writes can both succeed, which SQS and DynamoDB exclude. A long poll would hold the lock for
seconds, so it is done as short polls: after each message that is sent, and at intervals.
"""

from __future__ import annotations

import io
import json
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# Seconds between short polls: a delayed message becomes visible without any request.
POLL_INTERVAL = 0.2


class Turns:
    """A WSGI application that passes one request at a time to another one."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._turn = threading.Condition()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET")
        if operation == "AmazonSQS.ReceiveMessage":
            return self._poll(environ, start_response)
        with self._turn:
            answer = list(self._application(environ, start_response))
            if operation == "AmazonSQS.SendMessage":
                self._turn.notify_all()
            return answer

    def _poll(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        ends = time.monotonic() + int(asked.get("WaitTimeSeconds") or 0)
        body = json.dumps(asked | {"WaitTimeSeconds": 0}).encode()
        with self._turn:
            while True:
                started: list[tuple[Any, ...]] = []
                again = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
                answer = list(self._application(again, _recording(started)))
                left = ends - time.monotonic()
                if left <= 0 or json.loads(b"".join(answer)).get("Messages") or not started[0][0].startswith("200"):
                    start_response(*started[0])
                    return answer
                self._turn.wait(min(left, POLL_INTERVAL))


def _recording(started: list[tuple[Any, ...]]) -> Callable[..., Any]:
    """Return a `start_response` that only records its arguments."""

    def start(*arguments: Any) -> Callable[[bytes], object]:
        started.append(arguments)
        return lambda _: None

    return start
