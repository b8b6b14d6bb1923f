"""How Slack sends: over HTTP, with three seconds for an answer and three tries more. It speaks real HTTP."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.events.envelope import encoded, signed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ANSWER_SECONDS = 3.0  # what comes later is a failed delivery
RETRY_DELAYS = (0.0, 60.0, 300.0)  # at once, after a minute, after five: docs.slack.dev/apis/events-api


@dataclass(frozen=True)
class Delivery:
    """How one attempt went: `status` is 0 where nothing came back; `failure` is Slack's word for a retry, or none."""

    status: int
    seconds: float
    failure: str = ""
    no_retry: bool = False
    body: bytes = b""


def deliver(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    timeout: float = ANSWER_SECONDS,
    *,
    stopwatch: Callable[[], float] = time.monotonic,
) -> Delivery:
    """Send one request to the bot over HTTP and judge the answer as Slack does: one that is late has failed."""
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")
    start = stopwatch()
    status, no_retry, text, failure = 0, False, b"", ""
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text, failure = error.code, error.read(), "http_error"
            no_retry = error.headers.get("X-Slack-No-Retry") == "1"
    except OSError as error:
        failure = _connection_failure(error)
    except http.client.HTTPException:
        failure = "unknown_error"
    seconds = stopwatch() - start
    return Delivery(status, seconds, "http_timeout" if seconds > timeout else failure, no_retry, text)


class Deliveries:
    """Sends events as Slack does: signed anew each time, again until a 2xx comes, three times more at most."""

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        delays: Sequence[float] = RETRY_DELAYS,
        timeout: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.time,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self.url = url
        self.secret = secret
        self._delays = delays
        self._timeout = timeout
        self._clock = clock
        self._wait = wait

    def send(self, payload: Mapping[str, Any]) -> list[Delivery]:
        """Every attempt, the last one being the one that counts."""
        body = encoded(payload)
        attempts = [deliver(self.url, body, signed(body, self.secret, int(self._clock())), self._timeout)]
        for number, delay in enumerate(self._delays, start=1):
            last = attempts[-1]
            if not last.failure or last.no_retry:
                break
            self._wait(delay)
            again = signed(body, self.secret, int(self._clock()), retry_num=number, retry_reason=last.failure)
            attempts.append(deliver(self.url, body, again, self._timeout))
        return attempts


def _connection_failure(error: OSError) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "http_timeout"
    return "ssl_error" if isinstance(cause, ssl.SSLError) else "connection_failed"
