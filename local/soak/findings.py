"""What stands in threads, dead-letter queue and logs at the end, held against what people wrote and Slack was answered.

A message has at most one verdict for each of its states; at least one if the bot was told of a reaction and it was not
deleted; and one for its last state if the bot was told of a reaction after the last edit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from local.soak import logs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from local.soak.people import People, Written
    from local.workspace import Message

Offence = Literal[
    "duplicate", "missing", "astray", "unknown state", "uncalled", "wrong",
    "refused", "dead letter", "failed", "traceback", "leak",
]  # fmt: skip


@dataclass
class Findings:
    """Counts, and in `offenders` a line for each message that is not as it should be."""

    outcomes: Counter[str] = field(default_factory=Counter)
    offences: Counter[Offence] = field(default_factory=Counter)
    offenders: list[str] = field(default_factory=list)

    def blame(self, offence: Offence, whom: str) -> None:
        self.offences[offence] += 1
        self.offenders.append(f"{offence}: {whom}")


def in_the_threads(people: People) -> Findings:
    """Look at every post of the bot."""
    findings = Findings()
    posts: dict[str, list[Message]] = {}
    for channel in people.workspace.channels:
        for message in people.workspace.conversation(channel.id):
            if (mark := message.get("metadata")) is not None:
                posts.setdefault(mark["event_payload"]["key"].split("/")[2], []).append(message)
                findings.outcomes[mark["event_payload"]["outcome"]] += 1
    for written in people.messages.values():
        _look_at(written, posts.get(written.ts, []), findings)
    return findings


def _look_at(written: Written, posts: list[Message], findings: Findings) -> None:
    whom = f"message {written.ts} in {written.channel}, states {written.states}"
    keys = Counter(post["metadata"]["event_payload"]["key"].split("/")[3] for post in posts)
    for state, number in keys.items():
        if number > 1:
            findings.blame("duplicate", f"{whom}, {number} verdicts on state {state!r}")
        if state not in written.states:
            findings.blame("unknown state", f"{whom}, a verdict on state {state!r}")
    if any(post.get("thread_ts") != written.thread_ts for post in posts):
        findings.blame("astray", f"{whom}, a verdict outside its thread")
    if not written.told_at:
        if posts:
            findings.blame("uncalled", f"{whom}, a verdict that nobody rightly asked for")
    elif not written.deleted:
        if not posts or (written.told_at > written.changed_at and written.states[-1] not in keys):
            findings.blame("missing", f"{whom}, verdicts on {sorted(keys)}")
        if len(written.states) == 1 and any(
            post["metadata"]["event_payload"]["outcome"] != written.outcome for post in posts
        ):
            findings.blame("wrong", f"{whom}, a verdict other than {written.outcome}")


def in_the_dead_letter_queue(bodies: list[str], poisoned: set[str], findings: Findings) -> None:
    """Look at every job that was given up."""
    for body, number in Counter(bodies).items():
        if body not in poisoned or number > 1:
            findings.blame("dead letter", f"{number} x {body}")
    for body in poisoned.difference(bodies):
        findings.blame("dead letter", f"not there: {body}")


def in_the_answers(refused: list[str], findings: Findings) -> None:
    """Look at every delivery that never had the right answer."""
    for delivery in refused:
        findings.blame("refused", delivery)


def in_the_logs(folder: Path, confidential: Iterable[str], findings: Findings) -> None:
    """Look at what the processes wrote: a job fails only where it is none."""
    for end, number in logs.tries(folder).items():
        if end.startswith("failed ") and end != "failed JobError":
            findings.blame("failed", f"{number} x {end}")
    for raised in logs.tracebacks(folder):
        findings.blame("traceback", raised)
    for leak in logs.leaks(folder, confidential):
        findings.blame("leak", leak)
