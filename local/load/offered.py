"""Requests at a constant rate, whatever the receiver makes of it, and how long each took.

An open loop: people do not wait for one another before they react. A latency counts from the moment at which a request
was due, so that one that could not even be sent, because all connections were waiting, is counted with its wait; else
the slowest moments would be measured least (Gil Tene calls this coordinated omission).
"""

from __future__ import annotations

import http.client
import itertools
import multiprocessing
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from local.events import ANSWER_SECONDS, signed

CONNECTIONS = 32


@dataclass(frozen=True)
class Request:
    """One that was made; times in seconds since the first one was due. `status` 0: no answer."""

    number: int
    due: float
    ended: float
    status: int

    @property
    def seconds(self) -> float:
        return self.ended - self.due


@dataclass(frozen=True)
class Figures:
    """What a rate gave; milliseconds, and requests a second."""

    offered: float
    held: float
    p50: float
    p95: float
    p99: float
    errors: int

    @classmethod
    def of(cls, offered: float, requests: list[Request]) -> Figures:
        """Sum up the requests of one round."""
        percentiles = statistics.quantiles([1000 * request.seconds for request in requests], n=100, method="inclusive")
        acknowledged = [request for request in requests if request.status == 200]
        held = len(acknowledged) / max(max(request.ended for request in requests), len(requests) / offered)
        p50, p95, p99 = (round(percentiles[number - 1], 1) for number in (50, 95, 99))
        return cls(offered, round(held, 1), p50, p95, p99, len(requests) - len(acknowledged))

    @classmethod
    def median(cls, rounds: list[Figures]) -> Figures:
        """Take each figure's median: on a shared machine one round in three is somebody else's."""
        figures = {
            name: statistics.median(getattr(one, name) for one in rounds) for name in ("held", "p50", "p95", "p99")
        }
        return cls(rounds[0].offered, errors=sum(one.errors for one in rounds), **figures)


class Client:
    """Slack's side, in a process of its own so that it waits for nothing but the receiver."""

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret

    def offer(self, bodies: list[bytes], rate: float) -> list[Request]:
        """Send every body, `rate` of them a second; return all requests, in order."""
        with multiprocessing.get_context("spawn").Pool(1) as process:
            return process.apply(offer, (self._url, self._secret, bodies, rate))


def offer(url: str, secret: str, bodies: list[bytes], rate: float) -> list[Request]:
    """Send from this process, over connections that stay open."""
    place, numbers, lock = urlsplit(url), itertools.count(), threading.Lock()
    started = time.perf_counter() + 0.2  # the threads are there by then
    requests: list[Request] = []

    def send_some() -> None:
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=ANSWER_SECONDS)
        while True:
            with lock:
                number = next(numbers)
            if number >= len(bodies):
                return connection.close()
            due = number / rate
            time.sleep(max(0, started + due - time.perf_counter()))
            status = _status(connection, place.path, bodies[number], secret)
            requests.append(Request(number, due, time.perf_counter() - started, status))

    with ThreadPoolExecutor(CONNECTIONS) as connections:
        for sender in [connections.submit(send_some) for _ in range(CONNECTIONS)]:
            sender.result()
    return sorted(requests, key=lambda request: request.number)


def _status(connection: http.client.HTTPConnection, path: str, body: bytes, secret: str) -> int:
    try:
        connection.request("POST", path, body, signed(body, secret, int(time.time())))
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()  # the next request opens it anew
        return 0
    return answer.status
