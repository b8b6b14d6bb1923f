"""Check the verdicts, the dead-letter queue and the logs after a soak.

For each content that a message ever had, it has at most one verdict, and that verdict is right. A message has at least
one verdict if a request for it was acknowledged and it was not deleted. If a request was acknowledged after its last
edit, it has a verdict on its last content.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from local.bot import verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from local.soak.users import Users, Written
    from local.workspace import Message

Problem = Literal[
    "duplicate", "missing", "wrong thread", "unknown state", "unrequested", "wrong",
    "refused", "dead letter", "failed", "traceback", "leak",
]  # fmt: skip

_TRACEBACK = re.compile(r"Traceback \(most recent call last\):(?:\n[ \t].*)*\n?([\w.]*)")


@dataclass
class Results:
    """Counts of outcomes and problems. `problems` has a line for each problem."""

    outcomes: Counter[str] = field(default_factory=Counter)
    counts: Counter[Problem] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, problem: Problem, where: str) -> None:
        self.counts[problem] += 1
        self.problems.append(f"{problem}: {where}")


def check_threads(users: Users, results: Results) -> None:
    """Check every verdict in the workspace against its message."""
    posts = verdicts(users.workspace)
    results.outcomes.update(post["metadata"]["event_payload"]["outcome"] for found in posts.values() for post in found)
    for written in users.messages.values():
        _check_message(written, posts.get(written.ts, []), results)


def _check_message(written: Written, posts: list[Message], results: Results) -> None:
    where = f"message {written.ts} in {written.channel}, states {[*written.states]}"
    payloads = [post["metadata"]["event_payload"] for post in posts]
    judged = Counter(payload["key"].split("/")[3] for payload in payloads)
    for state, number in judged.items():
        if number > 1:
            results.add("duplicate", f"{where}, {number} verdicts on state {state!r}")
        if state not in written.states:
            results.add("unknown state", f"{where}, a verdict on state {state!r}")
    for payload in payloads:
        if payload["outcome"] != written.states.get(payload["key"].split("/")[3], payload["outcome"]):
            results.add("wrong", f"{where}, the verdict {payload['key']} is {payload['outcome']}")
    if any(post.get("thread_ts") != written.thread_ts for post in posts):
        results.add("wrong thread", f"{where}, a verdict outside its thread")
    last_is_due = written.acknowledged_at > written.changed_at and [*written.states][-1] not in judged
    if not written.acknowledged_at and posts:
        results.add("unrequested", f"{where}, a verdict without a valid request")
    if written.acknowledged_at and not written.deleted and (not posts or last_is_due):
        results.add("missing", f"{where}, verdicts on {sorted(judged)}")


def check_dead_letters(bodies: list[str], poisoned: set[str], results: Results) -> None:
    """Check that the dead-letter queue has each poisoned job once, and nothing else."""
    for body, number in Counter(bodies).items():
        if body not in poisoned or number > 1:
            results.add("dead letter", f"{number} x {body}")
    for body in poisoned.difference(bodies):
        results.add("dead letter", f"missing: {body}")


def check_logs(folder: Path, secrets: Iterable[str], results: Results) -> None:
    """Check that only poisoned jobs fail, and that the logs contain no traceback, secret or message text."""
    for attempt, number in attempts(folder).items():
        if attempt.startswith("failed ") and attempt != "failed JobError":
            results.add("failed", f"{number} x {attempt}")
    for log in sorted(folder.glob("*.log")):
        text = log.read_text(errors="replace")
        for error in _TRACEBACK.findall(text):
            results.add("traceback", f"{log.name}: {error}")
        for secret in secrets:
            if secret in text:
                results.add("leak", f"{log.name}: {secret}")


def attempts(folder: Path) -> Counter[str]:
    """Count the results of all attempts, from the metrics in the workers' logs."""
    counts: Counter[str] = Counter()
    for log in folder.glob("worker*.log"):
        for line in log.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # an incomplete line: the worker was killed while writing
            for name in ("JobEnded", "JobPostponed", "JobFailed"):
                counts[f"{name.removeprefix('Job').lower()} {entry.get('reason')}"] += name in entry
    return +counts
