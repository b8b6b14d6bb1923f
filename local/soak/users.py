"""The users of a soak: a plan of their actions, generated from a seed, and a record of what they did.

The deliveries of one reaction are spread out and overtake each other, as Slack's retries do. The plan also says
when workers are killed. Faults between the bot and Slack are not part of the plan. They happen at random.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from local.events import event_callback
from local.situations import EMOJI, FINE, TOXIC, WORDLESS
from local.workspace import RefusedError, Workspace
from toxicity_bot.jobs import Job
from toxicity_bot.judge import key_of
from toxicity_bot.message_words import read

Act = Literal["deliver", "lose_ack", "forge", "edit", "delete", "kill", "poison"]

REACTIONS_PER_MESSAGE = 1.7
MAX_REACTORS = 12  # per message
EDITED, DELETED, FORGED = 0.08, 0.05, 0.04  # fractions of the messages
EDITS = (1, 1, 3)  # number of edits of one message, in quick succession
ACKS_LOST = 0.02  # fraction of the deliveries
DELIVERIES_PER_KILL = 100
# Texts with the expected outcome.
TEXTS = (*((text, "toxic") for text in TOXIC), *((text, "fine") for text in FINE), (WORDLESS, "cannot_judge"))
MESSAGES_PER_CHANNEL = 20  # each call of the local Slack reads a whole channel, so small channels are fast
REPLIES = 4  # one message in four is a thread reply
IN_PLACE = 0.2  # fraction of the edits without an edit mark, like those of apps
CHANGED_BEFORE_POST = 0.03  # fraction of the verdicts whose message changes just before the post


@dataclass(frozen=True)
class Size:
    """The size of a soak. `poisoned` is the number of malformed jobs. The defaults take minutes on two cores.

    Each reaction needs at least one delivery.
    """

    deliveries: int = 2_000
    reactions: int = 400
    poisoned: int = 6

    @property
    def messages(self) -> int:
        return max(1, round(self.reactions / REACTIONS_PER_MESSAGE))


@dataclass(frozen=True)
class Step:
    """One action. `number` identifies its message, worker or poisoned job."""

    act: Act
    number: int = 0
    reactor: int = 0


def steps(seed: int, size: Size) -> list[Step]:
    """Return all steps in order. The same seed gives the same steps."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    begun = [random.random() for _ in range(size.messages)]
    forged = {message for message in range(size.messages) if random.random() < FORGED}
    reactions = _reactions(random, size)
    timed: list[tuple[float, Step]] = []
    for number in range(size.deliveries):
        message, reactor = reactions[number] if number < len(reactions) else random.choice(reactions)
        act: Act = "lose_ack" if random.random() < ACKS_LOST else "deliver"
        late = random.expovariate(100) + random.expovariate(50)
        timed.append((begun[message] + late, Step("forge" if message in forged else act, message, reactor)))
    for message, since in enumerate(begun):
        if random.random() < EDITED:
            edited = since + random.expovariate(50)
            timed += [(edited + number / 10_000, Step("edit", message)) for number in range(random.choice(EDITS))]
        if random.random() < DELETED:
            timed.append((since + random.expovariate(50), Step("delete", message)))
    kills = 1 + size.deliveries // DELIVERIES_PER_KILL
    timed += [(random.random(), Step("kill", random.randrange(kills))) for _ in range(kills)]
    timed += [(random.random() / 4, Step("poison", number)) for number in range(size.poisoned)]
    return [step for _, step in sorted(timed, key=lambda one: one[0])]


def _reactions(random: Random, size: Size) -> list[tuple[int, int]]:
    """Return at least one reaction per message, and distribute the others at random."""
    count = [1] * size.messages
    while sum(count) < size.reactions:
        message = random.randrange(size.messages)
        count[message] += count[message] < MAX_REACTORS
    return [(message, reactor) for message, reactors in enumerate(count) for reactor in range(reactors)]


@dataclass
class Written:
    """A message. Times are from the monotonic clock."""

    channel: str
    ts: str
    thread_ts: str
    states: dict[str, str] = field(default_factory=dict)  # the outcome by digest of the content, latest last
    changed_at: float = 0
    acknowledged_at: float = 0  # when the last accepted request was sent
    deleted: bool = False
    reactions: dict[int, dict[str, Any]] = field(default_factory=dict)


class Users:
    """A workspace with users, and a record of what they did. Thread-safe."""

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
        """React to a message. Return Slack's payload, or None if the message was deleted."""
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
            text, outcome = self._random.choice(TEXTS)
            self.workspace.edit(written.channel, written.ts, text)
            if self._random.random() < IN_PLACE:
                self.workspace.channel(written.channel).find(written.ts).pop("edited")
            self._note_state(written, outcome)
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
        """Return a message. Post it at its first use."""
        if number not in self.messages:
            channel = list(self._threads)[number % len(self._threads)]
            text, outcome = TEXTS[number % len(TEXTS)]
            thread_ts = self._threads[channel] if number % REPLIES == 0 else None
            user = self._ids[number % len(self._ids)]
            ts = self.workspace.post(channel, user, text, thread_ts=thread_ts)["ts"]
            self.messages[number] = Written(channel, ts, thread_ts or ts)
            self._note_state(self.messages[number], outcome)
            self._by_ts[ts] = number
        return self.messages[number]

    def _note_state(self, written: Written, outcome: str) -> None:
        """Record the current content of a message as the latest, with the expected outcome."""
        job = Job(self.workspace.identity.team_id, written.channel, written.ts, "U0", "Ev0", 0)
        digest = key_of(job, read(self.workspace.message(written.channel, written.ts))).split("/")[3]
        written.states.pop(digest, None)
        written.states[digest] = outcome
