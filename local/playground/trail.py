"""The trail of a request through the bot: each hop with its duration, from the recorded calls of the functions.

A trail contains ids, times, numbers and the words that the answer quotes, but no message text.
"""

from __future__ import annotations

import io
import json
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from local.block_kit import unescaped
from local.faults import DROPPED
from local.playground.trouble import POSTING
from local.slack_server import RecordedCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from local.events import Delivery

# The direction and the purpose of each call.
_HOPS = {
    "SendMessage": ("Receiver → queue", "sends the job"),
    "DeleteMessage": ("Worker → queue", "deletes the finished job"),
    "PutItem": ("Worker → ledger", "claims the row, so that the job is done once"),
    "UpdateItem": ("Worker → ledger", "writes the outcome into the row"),
    "DeleteItem": ("Worker → ledger", "frees the row"),
    "GetItem": ("Worker → ledger", "reads the notes of an earlier attempt"),
    "auth.test": ("Worker → Slack", "asks for the bot's identity"),
    "conversations.history": ("Worker → Slack", "reads the message"),
    "conversations.replies": ("Worker → Slack", "reads the thread"),
    "chat.postMessage": ("Worker → Slack", "posts the answer"),
    "chat.postEphemeral": ("Worker → Slack", "answers one person only"),
    "chat.update": ("Worker → Slack", "updates its message"),
    "chat.getPermalink": ("Worker → Slack", "asks for the message's permalink"),
    "response_url": ("Worker → Slack", "answers one person only"),
    "views.open": ("Receiver → Slack", "opens the form"),
}
TAKEN = "ConditionalCheckFailedException"
ANSWERING = (*POSTING, "response_url")
_HEAVIEST = re.compile(r"^What weighed most: (.+?”)\.", re.MULTILINE)


class RecordedAws:
    """A WSGI application that forwards requests, and reports calls in AWS's JSON protocol."""

    def __init__(self, application: WSGIApplication, on_call: Callable[[RecordedCall], object]) -> None:
        self._application, self._on_call = application, on_call

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[2]
        if not operation:
            return self._application(environ, start_response)
        body, started = Request(environ).get_data(), time.perf_counter()
        answer = Response.from_app(self._application, environ | {"wsgi.input": io.BytesIO(body)})
        ended, answered = time.perf_counter(), json.loads(answer.get_data() or b"{}")
        status = answer.status_code
        error = None if status == 200 else str(answered.get("__type", answer.status)).rpartition("#")[2]
        if operation != "ReceiveMessage" or answered.get("Messages"):
            self._on_call(RecordedCall(operation, json.loads(body or b"{}"), status, error, started, ended, answered))
        return answer(environ, start_response)


@dataclass
class _Attempt:
    """A worker's attempt at a job."""

    message_id: str
    attempt: int
    idle_since: float
    """The end of its last call."""


@dataclass
class Trail:
    """Everything known about one request. `what` describes what the person did.

    The latest trail gets all calls. It ignores jobs of earlier requests, which the worker may still be handling.
    """

    channel: str
    ts: str
    person: str
    what: str
    private: bool = False
    """Whether only the person sees the answer."""
    number: int = 0
    started: float = field(default_factory=time.perf_counter)
    hops: list[dict[str, Any]] = field(default_factory=list)
    """The steps. `at` is in milliseconds since the request, `attempt` is the number of the worker's attempt, if any."""
    deliveries: int = 0
    jobs: int = 0
    attempts: int = 0
    posts: int = 0
    """Calls that post an answer, including failed ones."""
    private_answers: int = 0
    """Answers that only one person sees."""
    job: str = ""
    """The body of the queue message."""
    row: str = ""
    """The id of the ledger's row."""
    figures: dict[str, Any] = field(default_factory=dict)
    answered_at: float | None = None
    """When the first answer was posted, in milliseconds since the request."""
    words: str = ""
    """The words that weighed most, as the answer quotes them."""
    waiting: int = 0
    """Jobs that have not ended."""
    _queued: dict[str, float] = field(default_factory=dict)
    """When each job was queued, by id of the queue message."""
    _handles: dict[str, _Attempt] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._now = self._past_the_queue()

    def _past_the_queue(self) -> _Attempt | None:
        """Return an attempt without a job if the answer is private, because the receiver then invokes the worker."""
        return _Attempt("", 0, self.started) if self.private else None

    def as_json(self) -> dict[str, Any]:
        """Return the data for the page, with the hops in order of their start."""
        with self._lock:
            kept = {name: value for name, value in vars(self).items() if not name.startswith("_")}
            hops = sorted(self.hops, key=lambda hop: hop["at"])
            return kept | {"hops": hops, "job": json.loads(self.job) if self.job else None}

    def delivered(self, started: float, delivery: Delivery, again: str = "") -> None:
        """Record a delivery of the request. `again` marks a repeated delivery."""
        with self._lock:
            self.deliveries += 1
            status = f"answered {delivery.status}" if delivery.status else "no answer"
            what = f"the signed request{again}, {status}"
            self._add("Slack → receiver", what, started, started + delivery.seconds, error=delivery.failure)

    def called(self, call: RecordedCall) -> None:
        """Record a call of the receiver or the worker."""
        with self._lock:
            if call.method == "SendMessage":
                self._sent(call)
            elif call.method == "ReceiveMessage":
                self._received(call)
            elif call.method in ("DeleteMessage", "ChangeMessageVisibility"):
                self._put_back_or_ended(call)
            elif self._now and ("." in call.method or call.method in _HOPS):
                self._worked(call, self._now)

    def killed(self) -> None:
        """Record that the worker was killed."""
        with self._lock:
            if self._now:
                now = time.perf_counter()
                what = "was killed; another worker will get its job"
                self._add("Worker", what, now, now, attempt=self._now.attempt, error="killed")
                self._queued[self._now.message_id] = now

    def _add(
        self, way: str, what: str, started: float, ended: float, *, attempt: int = 0, error: str | None = None
    ) -> None:
        at, milliseconds = (round(1000 * seconds, 1) for seconds in (started - self.started, ended - started))
        hop = {"way": way, "what": what, "at": at, "milliseconds": max(0, milliseconds)}
        self.hops.append(hop | {"attempt": attempt, "error": error or ""})

    def _sent(self, call: RecordedCall) -> None:
        self.job = str(call.arguments.get("MessageBody", ""))
        self.jobs, self.waiting = self.jobs + 1, self.waiting + 1
        self._add(*_HOPS["SendMessage"], call.started, call.ended, error=call.error)
        self._queued[str(call.answered.get("MessageId"))] = call.ended

    def _received(self, call: RecordedCall) -> None:
        for message in call.answered["Messages"]:
            queued = self._queued.get(message["MessageId"])
            if queued is None:  # the job of an earlier request
                self._now = None
                continue
            self.attempts += 1
            self._now = _Attempt(message["MessageId"], self.attempts, call.ended)
            self._handles[message["ReceiptHandle"]] = self._now
            self._add("Queue → worker", "the job waited", min(queued, call.ended), call.ended, attempt=self.attempts)

    def _put_back_or_ended(self, call: RecordedCall) -> None:
        at_work, self._now = self._handles.pop(str(call.arguments.get("ReceiptHandle")), None), self._past_the_queue()
        if at_work is None:
            return
        way, what = _HOPS["DeleteMessage"]
        if call.method == "ChangeMessageVisibility":
            what = f"postpones the job by {call.arguments.get('VisibilityTimeout')} s"
            self._queued[at_work.message_id] = call.ended
        else:
            self.waiting -= 1
        self._add(way, what, call.started, call.ended, attempt=at_work.attempt, error=call.error)

    def _worked(self, call: RecordedCall, at_work: _Attempt) -> None:
        way, what = _HOPS.get(call.method, ("Worker → Slack", call.method))
        error = call.error
        if error == TAKEN:
            what, error = "the row is taken: the job is done or in progress", None
        if call.method == "PutItem":
            self.row = str(call.arguments["Item"]["id"]["S"])
        if call.method in ANSWERING:
            self._posted(call)
            self._add("Worker", "scores the words", at_work.idle_since, call.started, attempt=at_work.attempt)
        self._add(way, what, call.started, call.ended, attempt=at_work.attempt, error=error)
        at_work.idle_since = call.ended

    def _posted(self, call: RecordedCall) -> None:
        self.posts += 1
        self.private_answers += call.method != "chat.postMessage" and not call.error
        if call.error in (None, DROPPED.error) and self.answered_at is None:
            self.answered_at = (call.ended - self.started) * 1000
        metadata = call.arguments.get("metadata") or {}
        metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
        self.figures = metadata.get("event_payload", self.figures)
        if found := _HEAVIEST.search(unescaped(str(call.arguments.get("text", "")))):
            self.words = found[1]
