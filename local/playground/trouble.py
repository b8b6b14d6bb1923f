"""What goes wrong on purpose while the bot answers a reaction, as people switch it on in the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.faults import DROPPED, Fault, Faults, RateLimited, Reset
from local.serving import WrongRequestError

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
        self._armed: list[Fault] = []

    def switch(self, kinds: Iterable[str]) -> None:
        """Switch these kinds on, and all others off; raises WrongRequestError for a kind that does not exist."""
        wanted = set(kinds)
        if unknown := wanted.difference(TROUBLES):
            raise WrongRequestError(f"{min(unknown)} is no trouble: there are {', '.join(TROUBLES)}.")
        self.on = frozenset(wanted)

    def arm(self, kinds: frozenset[str]) -> None:
        """Let these kinds happen from now on, once each, and none that is left of earlier."""
        armed: list[Fault] = [RateLimited("1")] if "rate_limit" in kinds else []
        if "kill_worker" in kinds:
            # The worst moment: the answer is there, and nobody learns of it. The reply is lost as well.
            armed.append(Fault(DROPPED, before_work=False, function=self._kill))
        elif "lose_reply" in kinds:
            armed.append(Reset(before_work=False))
        with self._lock:
            self._armed = armed

    def take(self, method: str) -> Fault:
        with self._lock:
            if method in POSTING and self._armed:
                return self._armed.pop(0)
        return super().take(method)
