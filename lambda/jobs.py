"""A job holds ids: of a reaction, or of what else a person asked for. It travels through the queue, without text."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field

from .errors import JobError

LONGEST_DELAY = 900
"""Seconds: the longest wait of a job between two tries; SQS itself allows twelve hours."""


@dataclass(frozen=True)
class Job:
    """Who reacted to which message, or asked for what, and when. `event_time` is in seconds since 1970.

    `installation` is the team or enterprise that installed the app; the bot uses its token. `kind` says what is to be
    done, and `detail` has the ids that only this kind needs.
    """

    team: str
    channel: str
    ts: str
    reactor: str
    event_id: str
    event_time: int
    installation: str = ""
    kind: str = "reaction"
    detail: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """Whose ledger rows and token it uses. In a shared channel, `team` is the reactor's own."""
        return self.installation or self.team

    def to_json(self) -> str:
        fields = asdict(self)
        if self.kind == "reaction":  # during a deployment, a worker of the version before may read it
            del fields["kind"], fields["detail"]
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_json(cls, body: str) -> Job:
        """Read the output of `to_json`; raises JobError for anything else."""
        try:
            fields = json.loads(body)
            job = cls(**fields)
        except (ValueError, TypeError, RecursionError):
            raise JobError("a queue message is not a job: look at it in the dead-letter queue") from None
        # A command is about no message.
        about = () if job.kind == "command" and job.ts == "" else (job.ts,)
        texts = (job.team, job.channel, *about, job.reactor, job.event_id, job.kind)
        typed = isinstance(job.event_time, int) and isinstance(job.installation, str) and isinstance(job.detail, dict)
        if not typed or not all(isinstance(text, str) and text for text in texts):
            raise JobError("a job lacks an id: look at it in the dead-letter queue")
        if not all(isinstance(value, str) for value in job.detail.values()):
            raise JobError("a job's detail is not an id: look at it in the dead-letter queue")
        return job


def retry_delay(attempt: int, jitter: float | None = None) -> int:
    """Return the seconds until the next try: doubling from 2, with jitter so that jobs do not all return at once.

    `attempt` counts from 1; `jitter` is from 0 to 1 and random unless given.
    """
    longest: int = min(LONGEST_DELAY, 2 ** min(attempt, 12))
    share = random.random() if jitter is None else jitter  # noqa: S311 - jitter, not a secret
    return max(1, round(longest * (0.5 + 0.5 * share)))
