"""A WSGI application that may not be entered twice at once, with room beside it for those who wait for a message.

moto's queues and tables are plain Python objects: two threads in `DeleteMessage` and `SendMessage` lose a message, two
conditional writes may both win. SQS and DynamoDB promise that neither happens, so requests take turns here. A long poll
would hold its turn for seconds: it is made a short one, repeated after each message that is sent and now and then.
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

# A message also becomes visible by the mere passing of time, of which no request tells.
LONGEST_NAP = 0.2


class Turns:
    """Lets one request after the other into `application`."""

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
                begun: list[tuple[Any, ...]] = []
                again = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
                answer = list(self._application(again, _noting(begun)))
                left = ends - time.monotonic()
                if left <= 0 or json.loads(b"".join(answer)).get("Messages") or not begun[0][0].startswith("200"):
                    start_response(*begun[0])
                    return answer
                self._turn.wait(min(left, LONGEST_NAP))


def _noting(begun: list[tuple[Any, ...]]) -> Callable[..., Any]:
    """A `start_response` that only remembers how it was called."""

    def start(*arguments: Any) -> Callable[[bytes], object]:
        begun.append(arguments)
        return lambda _: None

    return start
