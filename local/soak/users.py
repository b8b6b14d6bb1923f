"""What users write, edit, delete and react to during a soak: the facts that verdicts are compared with."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from local.events import event_callback
from local.situations import EMOJI, FINE, TOXIC, WORDLESS
from local.workspace import RefusedError, Workspace

if TYPE_CHECKING:
    from local.soak.plan import Size

# Texts and the outcome that the bot must reach.
TEXTS = (*((text, "toxic") for text in TOXIC), *((text, "fine") for text in FINE), (WORDLESS, "cannot_judge"))
MESSAGES_PER_CHANNEL = 20  # each call reads a whole channel here, so small channels are fast
REPLIES = 4  # one message in so many is a reply in a thread
CHANGED_BEFORE_POST = 0.03  # share of the verdicts whose message changes just before they are posted


@dataclass
class Written:
    """One message; times are of the monotonic clock."""

    channel: str
    ts: str
    thread_ts: str
    outcome: str
    states: list[str] = field(default_factory=lambda: [""])  # each `edited.ts` that it ever had
    changed_at: float = 0
    acknowledged_at: float = 0  # when the last request that the receiver accepted was sent
    deleted: bool = False
    reactions: dict[int, dict[str, Any]] = field(default_factory=dict)


class Users:
    """A workspace full of users, and a record of what they did. Thread-safe."""

    def __init__(self, seed: int, size: Size) -> None:
        self.workspace = Workspace()
        self.messages: dict[int, Written] = {}
        self.edits = self.deletions = 0
        self._lock = threading.RLock()
        self._random = Random(f"users {seed}")  # noqa: S311 - reproducible, not secret
        self._by_ts: dict[str, int] = {}
        self._ids = [self.workspace.add_user(f"user{number}") for number in range(16)]
        members = {*self._ids, self.workspace.identity.bot_user_id}
        self._threads = {}
        for number in range(1 + size.messages // MESSAGES_PER_CHANNEL):
            channel = self.workspace.add_channel(f"channel{number}", members=members)
            self._threads[channel] = self.workspace.post(channel, self._ids[0], "A thread for questions.")["ts"]

    def react(self, number: int, reactor: int) -> dict[str, Any] | None:
        """Return Slack's event for a reaction to a message, or None if the message was deleted before."""
        with self._lock:
            written = self._written(number)
            if reactor not in written.reactions:
                try:
                    event = self.workspace.react(written.channel, written.ts, self._ids[reactor], EMOJI)
                except RefusedError:
                    return None
                written.reactions[reactor] = event_callback(event, self.workspace.identity)
            return written.reactions[reactor]

    def acknowledged(self, number: int, sent_at: float) -> None:
        """Record that the receiver accepted a request that was sent at `sent_at`."""
        with self._lock:
            written = self.messages[number]
            written.acknowledged_at = max(written.acknowledged_at, sent_at)

    def edit(self, number: int) -> None:
        with self._lock:
            written = self._written(number)
            if written.deleted:
                return
            text, written.outcome = self._random.choice(TEXTS)
            edited = self.workspace.edit(written.channel, written.ts, text)["edited"]["ts"]
            if edited not in written.states:
                written.states.append(edited)
            written.changed_at = time.monotonic()
            self.edits += 1

    def delete(self, number: int) -> None:
        with self._lock:
            written = self._written(number)
            if not written.deleted:
                self.workspace.delete(written.channel, written.ts)
                written.deleted = True
                self.deletions += 1

    def change_before_post(self, ts: str) -> None:
        """Sometimes edit or delete the message whose verdict is about to be posted."""
        with self._lock:
            if self._random.random() < CHANGED_BEFORE_POST:
                self._random.choice([self.edit, self.delete])(self._by_ts[ts])

    def _written(self, number: int) -> Written:
        """Return a message; it is posted at its first use."""
        if number not in self.messages:
            channel = list(self._threads)[number % len(self._threads)]
            text, outcome = TEXTS[number % len(TEXTS)]
            thread_ts = self._threads[channel] if number % REPLIES == 0 else None
            user = self._ids[number % len(self._ids)]
            ts = self.workspace.post(channel, user, text, thread_ts=thread_ts)["ts"]
            self.messages[number] = Written(channel, ts, thread_ts or ts, outcome)
            self._by_ts[ts] = number
        return self.messages[number]
