"""`make events`: write one file for each situation of the bot to events/, for `sam local invoke`.

The workspace always has the same messages with the same ts, so that the files fit every local Slack. Only the
receiver's events depend on the current time: their signatures are valid for five minutes.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.events import app_rate_limited, encoded, event_callback, signed, sqs_event, url_verification
from local.workspace import Workspace
from toxicity_bot.gateway import api_gateway_event
from toxicity_bot.reactions import job_or_reason
from toxicity_bot.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER = Path(__file__).parent.parent / "events"
POSTED_AT = 1_767_603_600.0  # 2026-01-05 09:00 UTC, seconds since 1970
EMOJI = "biohazard_sign"
REACTOR = "U0GRACE"
# Texts with scores far below and far above both thresholds.
FINE = (
    "Could you look at the build on main? It has failed since Tuesday.",
    "The release notes are on the wiki, and the deploy starts at noon.",
)
TOXIC = ("You broke it, you stupid idiot. Nobody here can stand you.", "Oh shut up, you pathetic loser.")
WORDLESS = ":tada: :tada: <https://example.com/release>"


@dataclass(frozen=True)
class Post:
    """A message with one reaction."""

    name: str
    author: str
    text: str
    channel: str = "C0GENERAL"
    replies_to: str = ""
    in_blocks: bool = False
    deleted: bool = False

    def write(self, workspace: Workspace, thread_ts: str | None) -> dict[str, Any]:
        """Post the message, in a thread if `thread_ts` is given."""
        section = {"type": "section", "text": {"type": "mrkdwn", "text": self.text}}
        text, blocks = ("", [section]) if self.in_blocks else (self.text, None)
        return workspace.post(self.channel, self.author, text, blocks=blocks, thread_ts=thread_ts)


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


class Situations:
    """A workspace with all messages and one reaction to each. `events` are Slack's events for the reactions.

    The messages are from `POSTED_AT`. Everything later happens at the time of `clock`.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.workspace = Workspace.example(lambda: POSTED_AT)
        self.events: dict[str, dict[str, Any]] = {}
        ts: dict[str, str] = {}
        for post in POSTS:
            message = post.write(self.workspace, ts.get(post.replies_to))
            ts[post.name] = message["ts"]
            self.events[post.name] = self.workspace.react(post.channel, message["ts"], REACTOR, EMOJI)
            if post.deleted:
                self.workspace.delete(post.channel, message["ts"])
        self.workspace.clock = clock

    def job(self, name: str) -> str:
        """Return the body of the queue message that the receiver sends for the reaction to a post."""
        envelope = event_callback(self.events[name], self.workspace.identity, lambda: POSTED_AT)
        job: Any = job_or_reason(envelope, Settings.from_environ({}), POSTED_AT)
        return str(job.to_json())


def worker_events(situations: Situations) -> dict[str, dict[str, Any]]:
    """Return an SQS batch for each post, and batches with duplicates and malformed jobs."""
    jobs = {post.name: situations.job(post.name) for post in POSTS}
    poisoned = '{"not": "a job"}'
    return {f"worker-{name}": _batch(body) for name, body in jobs.items()} | {
        "worker-delivered-twice": _batch(jobs["fine"], jobs["fine"]),
        "worker-poisoned": _batch(poisoned),
        "worker-one-of-two-poisoned": _batch(poisoned, jobs["toxic"]),
    }


def receiver_events(situations: Situations, now: float, about: str = "toxic") -> dict[str, dict[str, Any]]:
    """Return Slack's requests to the receiver, signed at the time `now`. They expire after five minutes."""
    identity, signing_secret = situations.workspace.identity, situations.workspace.signing_secret
    event = situations.events[about]

    def request(payload: dict[str, Any], secret: str = signing_secret, *, retry: int = 0, base64: bool = False) -> Any:
        body = encoded(payload)
        headers = signed(body, secret, int(now), retry_num=retry, retry_reason="http_timeout")
        return api_gateway_event(body, headers, base64_encoded=base64, clock=lambda: now)

    reaction = event_callback(event, identity, lambda: now)
    return {
        "receiver-reaction": request(reaction),
        "receiver-retry": request(reaction, retry=1),
        "receiver-base64": request(reaction, base64=True),
        "receiver-other-emoji": request(event_callback(event | {"reaction": "tada"}, identity, lambda: now)),
        "receiver-forged": request(reaction, "somebody-else's"),
        "receiver-url-verification": request(url_verification(identity, "challenge-0123456789")),
        "receiver-rate-limited": request(app_rate_limited(identity, lambda: now)),
    }


def _batch(*bodies: str) -> dict[str, Any]:
    sent = str(int(POSTED_AT * 1000))
    attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": sent, "SenderId": "AIDALOCAL"}
    return sqs_event(
        [
            {
                "MessageId": f"00000000-0000-4000-8000-{number:012d}",
                "ReceiptHandle": f"event-file-{number}",
                "Body": body,
                "MD5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
                "Attributes": attributes | {"ApproximateFirstReceiveTimestamp": sent},
            }
            for number, body in enumerate(bodies)
        ]
    )


def write(events: Mapping[str, dict[str, Any]], folder: Path = FOLDER) -> list[Path]:
    """Write each event atomically to a file with its name. Return the files."""
    folder.mkdir(exist_ok=True)
    files = []
    for name, event in events.items():
        file = folder / f"{name}.json"
        part = file.with_suffix(".part")
        part.write_text(json.dumps(event, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        files.append(part.replace(file))
    return files


def write_all(folder: Path = FOLDER) -> list[Path]:
    situations = Situations()
    return write(worker_events(situations) | receiver_events(situations, time.time()), folder)


if __name__ == "__main__":
    for file in write_all():
        print(file.relative_to(FOLDER.parent))
