"""Scripted failures of the local Slack.

`Faults.add` queues a fault for a method, and each call of the method takes the oldest one. `Fault()` lets one call
succeed. A fault acts before the method does its work, after it, or instead of it.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Reply:
    """An HTTP response. `DROPPED` means that the connection is reset instead."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    error: str | None = None

    @classmethod
    def of(cls, answer: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        kind = {"Content-Type": "application/json; charset=utf-8"}
        return cls(status, json.dumps(answer).encode(), kind | (headers or {}), answer.get("error"))


DROPPED = Reply(0, error="connection_reset")


@dataclass(frozen=True)
class Postponed(Reply):
    """The connection is reset at once, and the server does the work `seconds` later."""

    status: int = 0
    seconds: float = 0


@dataclass(frozen=True)
class Fault:
    """Wait `seconds`, call `function`, then send `reply` instead of doing the work. Without a reply, the call succeeds.

    With `before_work=False`, the work is done first, and `reply` replaces its reply.
    """

    reply: Reply | None = None
    before_work: bool = True
    seconds: float = 0
    function: Callable[[], object] = field(default=lambda: None, repr=False)

    def before(self, closing: threading.Event) -> Reply | None:
        """Act before the work. A returned reply replaces the work. `closing` ends the wait when the server closes."""
        if not self.before_work:
            return None
        closing.wait(self.seconds)
        self.function()
        return self.reply

    def after(self, reply: Reply) -> Reply:
        """Return the reply to send after the work."""
        if self.before_work:
            return reply
        self.function()
        return self.reply or reply


class RateLimited(Fault):
    """Status 429 with a Retry-After header: seconds, an HTTP date, or anything else that a proxy could send."""

    def __init__(self, retry_after: str = "1") -> None:
        super().__init__(Reply.of({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": retry_after}))


class HtmlError(Fault):
    """An HTML page, as from a proxy in front of Slack."""

    def __init__(self, status: int = 502, *, before_work: bool = True) -> None:
        page = f"<!DOCTYPE html><html><body><h1>{status}</h1></body></html>"
        kind = {"Content-Type": "text/html; charset=utf-8"}
        super().__init__(Reply(status, page.encode(), kind, f"html_{status}"), before_work)


class ErrorBody(Fault):
    """An error in Slack's JSON, such as fatal_error or internal_error. The work may have been done."""

    def __init__(self, error: str = "fatal_error", status: int = 200, *, before_work: bool = True) -> None:
        super().__init__(Reply.of({"ok": False, "error": error}, status), before_work)


class Reset(Fault):
    """The connection is reset before the work, or after it, so that only the reply is lost."""

    def __init__(self, *, before_work: bool = True) -> None:
        super().__init__(DROPPED, before_work)


class ResetEarly(Fault):
    """Call `function`, reset the connection, and do the work `seconds` later."""

    def __init__(self, seconds: float, function: Callable[[], object] = lambda: None) -> None:
        super().__init__(Postponed(seconds=seconds), function=function)


class Slow(Fault):
    """Start the work after `seconds`, or when the server closes."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds=seconds)


class Call(Fault):
    """Call `function` before or after the work, for example to delete a message between fetch and post."""

    def __init__(self, function: Callable[[], object], *, before_work: bool = True) -> None:
        super().__init__(function=function, before_work=before_work)


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def add(self, method: str, fault: Fault, times: int = 1) -> None:
        """Add a fault to the next `times` calls of `method` that have no fault yet."""
        with self._lock:
            self._queues[method].extend([fault] * times)

    def take(self, method: str) -> Fault:
        """Return the fault for this call of `method`."""
        with self._lock:
            return self._queues[method].popleft() if self._queues[method] else Fault()

    def left(self) -> int:
        """Return the number of unused faults, so that a test can check that all faults happened."""
        with self._lock:
            return sum(map(len, self._queues.values()))

    def clear(self) -> None:
        with self._lock:
            self._queues.clear()


@dataclass(frozen=True)
class Limits:
    """Rate limit for each method that reads messages: calls per minute, and messages per page."""

    calls: int = 0
    page: int = 1000


# docs.slack.dev/apis/web-api/rate-limits: tier_3 for internal apps of a workspace, one_a_minute for commercial apps
# outside the Marketplace since 2025.
LIMITS = {"": Limits(), "tier_3": Limits(calls=50), "one_a_minute": Limits(calls=1, page=15)}
_LIMITED = ("conversations.history", "conversations.replies")


class RateLimits(Faults):
    """Enforces `limits`: refuses a method that was called too often in the last minute. `clock` is in seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._limits = limits
        self._clock = clock
        self._called: defaultdict[str, deque[float]] = defaultdict(deque)

    def take(self, method: str) -> Fault:
        fault = super().take(method)
        if method not in _LIMITED or not self._limits.calls:
            return fault
        with self._lock:
            called, now = self._called[method], self._clock()
            while called and called[0] <= now - 60:
                called.popleft()
            if len(called) >= self._limits.calls:
                return RateLimited(str(max(1, math.ceil(called[0] + 60 - now))))
            called.append(now)
            return fault
