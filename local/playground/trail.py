"""The way of a request through the bot: each hop with its milliseconds, put together from the calls that were seen.

A trail holds ids, times, figures and the words that the answer quotes. It holds no message.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from local.block_kit import unescaped
from local.faults import DROPPED
from local.playground.trouble import POSTING

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.events import Delivery
    from local.playground.watch import Call

MOST_TRAILS = 50  # by their jobs
# From whom to whom a call goes, and what it is for.
_HOPS = {
    "SendMessage": ("Receiver → queue", "puts the job on it"),
    "DeleteMessage": ("Worker → queue", "the job is done"),
    "PutItem": ("Worker → ledger", "claims the row, so that it is done once"),
    "UpdateItem": ("Worker → ledger", "writes the outcome into the row"),
    "DeleteItem": ("Worker → ledger", "frees the row"),
    "GetItem": ("Worker → ledger", "reads what an earlier try noted"),
    "auth.test": ("Worker → Slack", "asks who the bot is"),
    "conversations.history": ("Worker → Slack", "reads the message"),
    "conversations.replies": ("Worker → Slack", "reads the thread"),
    "chat.postMessage": ("Worker → Slack", "posts the answer"),
    "chat.postEphemeral": ("Worker → Slack", "answers one person only"),
    "chat.update": ("Worker → Slack", "changes its message"),
    "chat.getPermalink": ("Worker → Slack", "asks for the message's address"),
    "response_url": ("Worker → Slack", "answers one person only"),
    "views.open": ("Receiver → Slack", "opens the form"),
}
TAKEN = "ConditionalCheckFailedException"
ANSWERING = (*POSTING, "response_url")
_AWS_WORKER = ("PutItem", "UpdateItem", "DeleteItem", "GetItem")
_HEAVIEST = re.compile(r"^What weighed most: (.+?”)\.", re.MULTILINE)


@dataclass
class Hop:
    """One step; `at` is in milliseconds since the reaction, `attempt` that of the worker at this job, if any."""

    way: str
    what: str
    at: float
    milliseconds: float
    attempt: int = 0
    error: str = ""


@dataclass
class Trail:
    """All that is known of one request; `what` says what the person did."""

    channel: str
    ts: str
    person: str
    what: str
    private: bool = False
    """Whether only the person gets an answer."""
    number: int = 0
    started: float = field(default_factory=time.perf_counter)
    hops: list[Hop] = field(default_factory=list)
    deliveries: int = 0
    jobs: int = 0
    attempts: int = 0
    posts: int = 0
    """Calls that post an answer, whatever became of them."""
    whispers: int = 0
    """Answers that one person sees."""
    job: str = ""
    """The body of the queue's message."""
    row: str = ""
    """The id of the ledger's row."""
    figures: dict[str, Any] = field(default_factory=dict)
    answered_at: float | None = None
    """When the first answer was there, in milliseconds since the reaction."""
    words: str = ""
    """What weighed most, as the answer quotes it."""
    waiting: int = 0
    """Jobs that have not ended."""

    def add(self, way: str, what: str, started: float, ended: float, *, attempt: int = 0, error: str = "") -> None:
        milliseconds = max(0.0, (ended - started) * 1000)
        self.hops.append(Hop(way, what, (started - self.started) * 1000, milliseconds, attempt, error))

    def as_json(self) -> dict[str, Any]:
        """Return what the page shows; hops in the order in which they began."""
        hops = [
            asdict(hop) | {"at": round(hop.at, 1), "milliseconds": round(hop.milliseconds, 1)}
            for hop in sorted(self.hops, key=lambda hop: hop.at)
        ]
        shown = {name: value for name, value in vars(self).items() if name not in ("started", "whispers")}
        return shown | {"hops": hops, "job": json.loads(self.job) if self.job else None}


@dataclass
class _Try:
    """A worker at a job: from the moment at which it got the job to its end."""

    trail: Trail
    message_id: str
    attempt: int
    idle_since: float
    """When its last call ended."""


class Trails:
    """The trails of the latest requests, one delivered at a time; `changed` is called after each hop."""

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._by_event: OrderedDict[str, Trail] = OrderedDict()
        self._latest: Trail | None = None
        self._begun = 0
        self._queued: dict[str, float] = {}
        self._handles: dict[str, _Try] = {}
        self._now: _Try | None = None

    def begin(self, trail: Trail) -> None:
        """From now on, jobs that are put on the queue belong to this trail."""
        with self._lock:
            self._begun += 1
            trail.number = self._begun
            self._latest = trail
            if trail.private:
                # The receiver may invoke the worker past the queue.
                self._now = _Try(trail, "", 0, trail.started)

    def delivered(self, trail: Trail, started: float, delivery: Delivery, again: str = "") -> None:
        """Note a delivery of the request; `again` says that Slack sends it once more."""
        with self._lock:
            trail.deliveries += 1
            status = f"answered {delivery.status}" if delivery.status else "no answer"
            what = f"the signed request{again}, {status}"
            trail.add("Slack → receiver", what, started, started + delivery.seconds, error=delivery.failure)
        self._changed()

    def called(self, call: Call) -> None:
        """Note a call of receiver or worker."""
        if call.operation == "ReceiveMessage" and not call.answered.get("Messages"):
            return
        with self._lock:
            if call.operation == "SendMessage":
                self._sent(call)
            elif call.operation == "ReceiveMessage":
                self._received(call)
            elif call.operation in ("DeleteMessage", "ChangeMessageVisibility"):
                self._put_back_or_ended(call)
            elif call.operation in _AWS_WORKER or "." in call.operation or call.operation in ANSWERING:
                self._worked(call)
        self._changed()

    @property
    def latest(self) -> Trail | None:
        return self._latest

    def as_json(self) -> dict[str, Any] | None:
        with self._lock:
            return self._latest.as_json() if self._latest else None

    def killed(self) -> None:
        """Note that the worker was killed."""
        with self._lock:
            if self._now:
                now = time.perf_counter()
                what = "was killed; the queue gives its job to another one"
                self._now.trail.add("Worker", what, now, now, attempt=self._now.attempt, error="killed")
                self._queued[self._now.message_id] = now
        self._changed()

    def _sent(self, call: Call) -> None:
        body = str(call.asked.get("MessageBody", ""))
        if trail := self._latest:
            self._by_event[_event_id(body)] = trail
            while len(self._by_event) > MOST_TRAILS:
                self._by_event.popitem(last=False)
            trail.job, trail.jobs, trail.waiting = body, trail.jobs + 1, trail.waiting + 1
            trail.add(*_HOPS["SendMessage"], call.started, call.ended, error=call.error)
            self._queued[str(call.answered.get("MessageId"))] = call.ended

    def _received(self, call: Call) -> None:
        for message in call.answered["Messages"]:
            if trail := self._by_event.get(_event_id(message["Body"])):
                trail.attempts += 1
                self._now = _Try(trail, message["MessageId"], trail.attempts, call.ended)
                self._handles[message["ReceiptHandle"]] = self._now
                since = min(self._queued.get(message["MessageId"], call.ended), call.ended)
                trail.add("Queue → worker", "the job waited", since, call.ended, attempt=trail.attempts)

    def _put_back_or_ended(self, call: Call) -> None:
        at_work = self._handles.pop(str(call.asked.get("ReceiptHandle")), None)
        if at_work is None:
            return
        way, what = _HOPS["DeleteMessage"]
        if call.operation == "ChangeMessageVisibility":
            what = f"the job comes again in {call.asked.get('VisibilityTimeout')} s"
            self._queued[at_work.message_id] = call.ended
        else:
            at_work.trail.waiting -= 1
        at_work.trail.add(way, what, call.started, call.ended, attempt=at_work.attempt, error=call.error)
        self._now = None

    def _worked(self, call: Call) -> None:
        at_work = self._now
        if at_work is None:
            return
        trail = at_work.trail
        way, what = _HOPS.get(call.operation, ("Worker → Slack", call.operation))
        error = call.error
        if error == TAKEN:
            what, error = "finds the row taken: it is done already, or being done", ""
        if call.operation == "PutItem":
            trail.row = str(call.asked["Item"]["id"]["S"])
        if call.operation in ANSWERING:
            self._posted(trail, call)
            trail.add("Worker", "scores the words", at_work.idle_since, call.started, attempt=at_work.attempt)
        trail.add(way, what, call.started, call.ended, attempt=at_work.attempt, error=error)
        at_work.idle_since = call.ended

    def _posted(self, trail: Trail, call: Call) -> None:
        trail.posts += 1
        trail.whispers += call.operation != "chat.postMessage" and not call.error
        if call.error in ("", DROPPED.error) and trail.answered_at is None:
            trail.answered_at = (call.ended - trail.started) * 1000
        metadata = call.asked.get("metadata") or {}
        metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
        trail.figures = metadata.get("event_payload", trail.figures)
        if found := _HEAVIEST.search(unescaped(str(call.asked.get("text", "")))):
            trail.words = found[1]


def _event_id(body: str) -> str:
    try:
        return str(json.loads(body).get("event_id", ""))
    except (ValueError, AttributeError):
        return ""
