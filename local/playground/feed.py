"""Server-sent events: each page gets the state again whenever something has changed."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEARTBEAT = 10.0  # seconds; a page that was closed is noticed when it cannot be written to


class Feed:
    """Hands the state to any number of pages; several changes at once are one event."""

    def __init__(self, state: Callable[[], dict[str, Any]]) -> None:
        self._state = state
        self._version = 0
        self._closed = False
        self._news = threading.Condition()

    def changed(self) -> None:
        with self._news:
            self._version += 1
            self._news.notify_all()

    def close(self) -> None:
        """End all streams."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def stream(self) -> Iterator[bytes]:
        """Yield the state now and after each change, until the feed is closed."""
        seen = -1
        while True:
            with self._news:
                if self._version == seen and not self._closed:
                    self._news.wait(HEARTBEAT)
                if self._closed:
                    return
                changed, seen = self._version != seen, self._version
            yield f"data: {json.dumps(self._state())}\n\n".encode() if changed else b": still here\n\n"
