"""What people wrote, did and saw: the messages of a soak, their states, and which reactions the bot was told of.

The truth that verdicts are held against. It knows the workspace and nothing of the bot.
"""

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

# What people write, and what the bot is to make of it.
TEXTS = (*((text, "toxic") for text in TOXIC), *((text, "fine") for text in FINE), (WORDLESS, "cannot_judge"))
# Slack's history is read in full for each call, here: small channels keep that cheap.
MESSAGES_PER_CHANNEL = 20
REPLIES = 4  # one message in so many stands in a thread
MEDDLING = 0.03  # of the verdicts, just before they are posted


@dataclass
class Written:
    """One message; times are of the monotonic clock."""

    channel: str
    ts: str
    thread_ts: str
    outcome: str
    states: list[str] = field(default_factory=lambda: [""])
    """Each `edited.ts` that it ever had."""
    changed_at: float = 0
    told_at: float = 0
    """When the last request that the receiver accepted was sent."""
    deleted: bool = False
    reactions: dict[int, dict[str, Any]] = field(default_factory=dict)


class People:
    def __init__(self, seed: int, size: Size) -> None:
        self.workspace = Workspace()
        self.messages: dict[int, Written] = {}
        self.edits = self.deletions = 0
        self._lock = threading.RLock()
        self._random = Random(f"people {seed}")  # noqa: S311 - a test's dice
        self._by_ts: dict[str, int] = {}
        self._users = [self.workspace.add_user(f"person{number}") for number in range(16)]
        bot = self.workspace.identity.bot_user_id
        self._threads = {}
        for number in range(1 + size.messages // MESSAGES_PER_CHANNEL):
            channel = self.workspace.add_channel(f"channel{number}", members={*self._users, bot})
            self._threads[channel] = self.workspace.post(channel, self._users[0], "A thread for questions.")["ts"]

    def reaction(self, number: int, reactor: int) -> dict[str, Any] | None:
        """What Slack sends for one person's reaction to a message; none if the message is gone before they react."""
        with self._lock:
            written = self._written(number)
            if reactor not in written.reactions:
                user = self._users[reactor]
                try:
                    event = self.workspace.react(written.channel, written.ts, user, EMOJI)
                except RefusedError:
                    return None
                written.reactions[reactor] = event_callback(event, self.workspace.identity)
            return written.reactions[reactor]

    def told(self, number: int, sent_at: float) -> None:
        """Note that the bot has answered 200 to a request that was sent then."""
        with self._lock:
            written = self.messages[number]
            written.told_at = max(written.told_at, sent_at)

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

    def meddle(self, ts: str) -> None:
        """Perhaps change or remove the message about which a verdict is on its way."""
        with self._lock:
            if self._random.random() < MEDDLING:
                self._random.choice([self.edit, self.delete])(self._by_ts[ts])

    def _written(self, number: int) -> Written:
        """The message, written when it is first asked for."""
        if number not in self.messages:
            channel = list(self._threads)[number % len(self._threads)]
            text, outcome = TEXTS[number % len(TEXTS)]
            thread_ts = self._threads[channel] if number % REPLIES == 0 else None
            user = self._users[number % len(self._users)]
            ts = self.workspace.post(channel, user, text, thread_ts=thread_ts)["ts"]
            self.messages[number] = Written(channel, ts, thread_ts or ts, outcome)
            self._by_ts[ts] = number
        return self.messages[number]
