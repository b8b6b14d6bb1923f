"""The situations that events/ holds a file for, and the workspace in which they happen. Pure, one source of truth.

A morning that is always the same: whoever makes it again finds every message under the same ts, so that a file of
yesterday fits a local Slack of today. Only what Slack signs is of now, since a signature holds for five minutes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.events.envelope import app_rate_limited, encoded, event_callback, signed, url_verification
from local.events.invocation import api_gateway_event, sqs_event
from local.lambda_context import load
from local.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

MORNING = 1_767_603_600.0  # 2026-01-05 09:00 UTC, seconds since 1970
EMOJI = "biohazard_sign"
REACTOR = "U0GRACE"
# On whose side of both thresholds nobody doubts.
FINE = (
    "Could you look at the build on main? It has failed since Tuesday.",
    "The release notes are on the wiki, and the deploy starts at noon.",
)
TOXIC = ("You broke it, you stupid idiot. Nobody here can stand you.", "Oh shut up, you pathetic loser.")
WORDLESS = ":tada: :tada: <https://example.com/release>"


@dataclass(frozen=True)
class Post:
    """A message of that morning, and how its verdict begins."""

    name: str
    author: str
    text: str
    channel: str = "C0GENERAL"
    replies_to: str = ""
    in_blocks: bool = False
    deleted: bool = False


POSTS = (
    Post("fine", "U0ADA", FINE[0]),
    Post("toxic", "U0GRACE", TOXIC[0]),
    Post("thread-reply", "U0GRACE", TOXIC[1], replies_to="fine"),
    Post("words-in-blocks", "U0DEPLOYBOT", "*Deploy 214*: you are all stupid, worthless idiots.", in_blocks=True),
    Post("nothing-to-judge", "U0ADA", WORDLESS),
    Post("not-english", "U0ADA", "Ich komme heute leider etwas später ins Büro."),
    Post("deleted", "U0GRACE", "You stupid idiot, I take this back.", deleted=True),
    Post("not-a-member", "U0ADA", "You are a stupid idiot.", channel="C0RANDOM"),
)


class Morning:
    """The workspace with all messages posted and one reaction to each; `events` are what Slack makes of them."""

    def __init__(self, live_clock: Callable[[], float]) -> None:
        clock = _Clock()
        self.workspace = Workspace.example(clock)
        self.events: dict[str, dict[str, Any]] = {}
        ts: dict[str, str] = {}
        for post in POSTS:
            section = {"type": "section", "text": {"type": "mrkdwn", "text": post.text}}
            message = self.workspace.post(
                post.channel,
                post.author,
                "" if post.in_blocks else post.text,
                blocks=[section] if post.in_blocks else None,
                thread_ts=ts.get(post.replies_to),
            )
            ts[post.name] = message["ts"]
            self.events[post.name] = self.workspace.react(post.channel, message["ts"], REACTOR, EMOJI)
            if post.deleted:
                self.workspace.delete(post.channel, message["ts"])
        # What happens from here on happens now.
        clock.read = live_clock

    def job(self, name: str) -> str:
        """The queue message that the receiver makes of the reaction to a post."""
        settings = load("settings").Settings.from_environ({})
        envelope = event_callback(self.events[name], self.workspace.identity, lambda: MORNING)
        return str(load("reactions").job_or_reason(envelope, settings, MORNING).to_json())


class _Clock:
    """The morning's clock, until another one takes over."""

    read: Callable[[], float] = staticmethod(lambda: MORNING)

    def __call__(self) -> float:
        return self.read()


def worker_events(morning: Morning) -> dict[str, dict[str, Any]]:
    """For every post an SQS batch with its job; then what a queue can do besides."""
    jobs = {post.name: morning.job(post.name) for post in POSTS}
    poisoned = '{"not": "a job"}'
    return {f"worker-{name}": _batch(body) for name, body in jobs.items()} | {
        "worker-delivered-twice": _batch(jobs["fine"], jobs["fine"]),
        "worker-poisoned": _batch(poisoned),
        "worker-one-of-two-poisoned": _batch(poisoned, jobs["toxic"]),
    }


def receiver_events(morning: Morning, now: float, about: str = "toxic") -> dict[str, dict[str, Any]]:
    """Requests from Slack to the receiver, signed now: they are refused five minutes later, as they should be."""
    identity, secret = morning.workspace.identity, morning.workspace.signing_secret

    def request(payload: dict[str, Any], *, secret: str = secret, retry: int = 0, base64: bool = False) -> Any:
        body = encoded(payload)
        headers = signed(body, secret, int(now), retry_num=retry, retry_reason="http_timeout")
        return api_gateway_event(body, headers, base64_encoded=base64, clock=lambda: now)

    reaction = event_callback(morning.events[about], identity, lambda: now)
    tada = event_callback(morning.events[about] | {"reaction": "tada"}, identity, lambda: now)
    return {
        "receiver-reaction": request(reaction),
        "receiver-retry": request(reaction, retry=1),
        "receiver-base64": request(reaction, base64=True),
        "receiver-other-emoji": request(tada),
        "receiver-forged": request(reaction, secret="somebody-else's"),
        "receiver-url-verification": request(url_verification(identity, "challenge-0123456789")),
        "receiver-rate-limited": request(app_rate_limited(identity, lambda: now)),
    }


def _batch(*bodies: str) -> dict[str, Any]:
    return sqs_event([_message(number, body) for number, body in enumerate(bodies)])


def _message(number: int, body: str) -> dict[str, Any]:
    sent = str(int(MORNING * 1000))
    return {
        "MessageId": f"00000000-0000-4000-8000-{number:012d}",
        "ReceiptHandle": f"event-file-{number}",
        "Body": body,
        "MD5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "Attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent,
            "SenderId": "AIDALOCAL",
            "ApproximateFirstReceiveTimestamp": sent,
        },
    }
