"""What goes wrong on purpose while the bot answers a reaction, as people switch it on in the page."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, get_args

from local.faults import DROPPED, Fault, Faults, RateLimited, Reset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Kind = Literal["deliver_twice", "rate_limit", "lose_reply", "kill_worker"]
KINDS: tuple[Kind, ...] = get_args(Kind)
POSTING = ("chat.postMessage", "chat.postEphemeral")


class Trouble(Faults):
    """Makes the calls that post an answer fail, each kind once for each reaction; `kill` ends the worker."""

    def __init__(self, kill: Callable[[], object]) -> None:
        super().__init__()
        self.on: frozenset[Kind] = frozenset()
        self._kill = kill
        self._pending: set[Kind] = set()
        self._switch = threading.Lock()

    def switch(self, kinds: Iterable[str]) -> None:
        """Switch these kinds on, and all others off; raises ValueError for a kind that does not exist."""
        wanted = set(kinds)
        if unknown := wanted.difference(KINDS):
            raise ValueError(f"{min(unknown)} is no trouble: there are {', '.join(KINDS)}")
        self.on = frozenset(kind for kind in KINDS if kind in wanted)

    def arm(self, kinds: Iterable[Kind]) -> None:
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
