"""Scripted failures of the local Slack.

`Faults.add` queues a fault for a method, and each call takes the oldest one; `Pass` lets one call succeed. A fault acts
before the method's work, after it, or instead of it.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; `DROPPED` stands for a connection that is reset instead."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    error: str | None = None

    @classmethod
    def of(cls, answer: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        kind = {"Content-Type": "application/json; charset=utf-8"}
        return cls(status, json.dumps(answer).encode(), kind | (headers or {}), answer.get("error"))


DROPPED = Reply(0, error="connection_reset")


@dataclass(frozen=True)
class Postponed(Reply):
    """A connection that is reset at once; the server does the work `seconds` later."""

    seconds: float = 0


class Fault:
    """The base class: nothing fails."""

    def before(self, _closing: threading.Event) -> Reply | None:
        """Act before the work; a reply replaces the work. `closing` is set when the server closes."""
        return None

    def after(self, reply: Reply) -> Reply:
        """Return the reply to send after the work."""
        return reply


class Pass(Fault):
    """A call that succeeds: the next fault is for a later call."""


@dataclass(frozen=True)
class RateLimited(Fault):
    """429 with a Retry-After header: seconds, an HTTP date, or anything that a proxy may write."""

    retry_after: str = "1"

    def before(self, _closing: threading.Event) -> Reply | None:
        return Reply.of({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": self.retry_after})


@dataclass(frozen=True)
class HtmlError(Fault):
    """An HTML page, as a proxy in front of Slack sends it, before the work or after it."""

    status: int = 502
    before_work: bool = True

    def before(self, _closing: threading.Event) -> Reply | None:
        return self._page() if self.before_work else None

    def after(self, _reply: Reply) -> Reply:
        return self._page()

    def _page(self) -> Reply:
        page = f"<!DOCTYPE html><html><body><h1>{self.status}</h1></body></html>"
        return Reply(self.status, page.encode(), {"Content-Type": "text/html; charset=utf-8"}, f"html_{self.status}")


@dataclass(frozen=True)
class ErrorBody(Fault):
    """An error of Slack, such as fatal_error or internal_error, instead of the work."""

    error: str = "fatal_error"
    status: int = 200

    def before(self, _closing: threading.Event) -> Reply | None:
        return Reply.of({"ok": False, "error": self.error}, self.status)


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset before the work, or after it: then only the reply is lost."""

    before_work: bool = True

    def before(self, _closing: threading.Event) -> Reply | None:
        return DROPPED if self.before_work else None

    def after(self, _reply: Reply) -> Reply:
        return DROPPED


@dataclass(frozen=True)
class ResetEarly(Fault):
    """The connection is reset first, and the work is done `seconds` later."""

    seconds: float

    def before(self, _closing: threading.Event) -> Reply | None:
        return Postponed(0, error="connection_reset", seconds=self.seconds)


@dataclass(frozen=True)
class Slow(Fault):
    """The work starts after `seconds`, or when the server closes."""

    seconds: float

    def before(self, closing: threading.Event) -> Reply | None:
        closing.wait(self.seconds)
        return None


@dataclass(frozen=True)
class Call(Fault):
    """`function` runs before the work or after it, for example to delete a message between fetch and post."""

    function: Callable[[], object]
    before_work: bool = True

    def before(self, _closing: threading.Event) -> Reply | None:
        if self.before_work:
            self.function()
        return None

    def after(self, reply: Reply) -> Reply:
        if not self.before_work:
            self.function()
        return reply


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def add(self, method: str, fault: Fault, times: int = 1) -> None:
        """Add a fault to the next `times` calls of `method` that have none yet."""
        with self._lock:
            self._queues[method].extend([fault] * times)

    def take(self, method: str) -> Fault:
        """Return the fault for this call of `method`."""
        with self._lock:
            return self._queues[method].popleft() if self._queues[method] else Pass()

    def left(self) -> int:
        """Return the number of faults that no call has used, so that a test can check that they happened."""
        with self._lock:
            return sum(map(len, self._queues.values()))

    def clear(self) -> None:
        with self._lock:
            self._queues.clear()
