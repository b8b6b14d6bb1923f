"""Faults that people switch on in the page, and that happen while the bot answers a reaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.faults import DROPPED, Fault, Faults, RateLimited, Reset
from local.serving import WrongRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# The label and the description of each kind.
TROUBLES: dict[str, tuple[str, str]] = {
    "deliver_twice": ("Deliver twice", "Slack sends the event again, as if it got no response."),
    "rate_limit": ("Answer 429", "Slack rejects the first post: too many requests."),
    "lose_reply": ("Lose the reply", "The answer is posted, but the worker gets no response."),
    "kill_worker": ("Kill the worker", "The worker dies right after it has posted. Another one takes over."),
}
POSTING = ("chat.postMessage", "chat.postEphemeral")


class Trouble(Faults):
    """Makes calls that post an answer fail, once per kind and reaction. `kill` kills the worker."""

    def __init__(self, kill: Callable[[], object]) -> None:
        super().__init__()
        self.on: frozenset[str] = frozenset()
        self._kill = kill
        self._armed: list[Fault] = []

    def switch(self, kinds: Iterable[str]) -> None:
        """Switch these kinds on and all others off. Raises WrongRequestError for an unknown kind."""
        wanted = set(kinds)
        if unknown := wanted.difference(TROUBLES):
            raise WrongRequestError(f"Unknown kind {min(unknown)}. The kinds are {', '.join(TROUBLES)}.")
        self.on = frozenset(wanted)

    def arm(self, kinds: frozenset[str]) -> None:
        """Let each of these kinds happen once from now on. Drop faults that did not happen yet."""
        armed: list[Fault] = [RateLimited("1")] if "rate_limit" in kinds else []
        if "kill_worker" in kinds:
            # The worst moment: the answer is posted, but nobody knows. The reply is lost too.
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
