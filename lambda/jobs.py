"""A job holds the ids of one reaction. It travels through the queue and never holds text."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass

from .errors import JobError

LONGEST_DELAY = 900
"""Seconds: the longest wait of a job between two tries; SQS itself allows twelve hours."""


@dataclass(frozen=True)
class Job:
    """Who reacted to which message, and when. `event_time` is in seconds since 1970.

    `installation` is the team or enterprise that installed the app; the bot uses its token.
    """

    team: str
    channel: str
    ts: str
    reactor: str
    event_id: str
    event_time: int
    installation: str = ""

    @property
    def owner(self) -> str:
        """Whose ledger rows and token it uses. In a shared channel, `team` is the reactor's own."""
        return self.installation or self.team

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, body: str) -> Job:
        """Read the output of `to_json`; raises JobError for anything else."""
        try:
            fields = json.loads(body)
            job = cls(**fields)
        except (ValueError, TypeError, RecursionError):
            raise JobError("a queue message is not a job: look at it in the dead-letter queue") from None
        texts = (job.team, job.channel, job.ts, job.reactor, job.event_id)
        typed = isinstance(job.event_time, int) and isinstance(job.installation, str)
        if not typed or not all(isinstance(text, str) and text for text in texts):
            raise JobError("a job lacks an id: look at it in the dead-letter queue")
        return job


def retry_delay(attempt: int, jitter: float | None = None) -> int:
    """Return the seconds until the next try: doubling from 2, with jitter so that jobs do not all return at once.

    `attempt` counts from 1; `jitter` is from 0 to 1 and random unless given.
    """
    longest: int = min(LONGEST_DELAY, 2 ** min(attempt, 12))
    share = random.random() if jitter is None else jitter  # noqa: S311 - jitter, not a secret
    return max(1, round(longest * (0.5 + 0.5 * share)))
