"""What goes wrong on purpose while the bot answers a reaction, as people switch it on in the page."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from local.faults import DROPPED, Fault, Faults, RateLimited, Reset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Each kind with a label, and what it does.
TROUBLES: dict[str, tuple[str, str]] = {
    "deliver_twice": ("Deliver twice", "Slack sends the event again, as if nobody had answered."),
    "rate_limit": ("Answer 429", "Slack refuses the first post: too many requests."),
    "lose_reply": ("Lose the reply", "The answer is posted, and the worker never learns of it."),
    "kill_worker": ("Kill the worker", "It dies the moment it has posted. Another one takes over."),
}
POSTING = ("chat.postMessage", "chat.postEphemeral")


class Trouble(Faults):
    """Makes the calls that post an answer fail, each kind once for each reaction; `kill` ends the worker."""

    def __init__(self, kill: Callable[[], object]) -> None:
        super().__init__()
        self.on: frozenset[str] = frozenset()
        self._kill = kill
        self._pending: set[str] = set()
        self._switch = threading.Lock()

    def switch(self, kinds: Iterable[str]) -> None:
        """Switch these kinds on, and all others off; raises ValueError for a kind that does not exist."""
        wanted = set(kinds)
        if unknown := wanted.difference(TROUBLES):
            raise ValueError(f"{min(unknown)} is no trouble: there are {', '.join(TROUBLES)}")
        self.on = frozenset(wanted)

    def arm(self, kinds: Iterable[str]) -> None:
        """Let these kinds happen from now on, once each, and none that is left of earlier."""
        with self._switch:
            self._pending = set(kinds)

    def take(self, method: str) -> Fault:
        if method not in POSTING:
            return super().take(method)
        with self._switch:
            if "rate_limit" in self._pending:
                self._pending.remove("rate_limit")
                return RateLimited("1")
            if "kill_worker" in self._pending:
                # The worst moment: the answer is there, and nobody learns of it. The reply is lost as well.
                self._pending -= {"kill_worker", "lose_reply"}
                return Fault(DROPPED, before_work=False, function=self._kill)
            if "lose_reply" in self._pending:
                self._pending.remove("lose_reply")
                return Reset(before_work=False)
        return super().take(method)
