"""A job: the ids of a reaction or of another request. It travels through the queue and never contains text."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field

from .errors import JobError

MAX_ATTEMPTS = 10
"""A job that fails more often goes to the dead-letter queue. template.yaml has the same number."""
MAX_DELAY_SECONDS = 900
"""The longest wait of a job between two attempts. SQS itself allows twelve hours."""


@dataclass(frozen=True)
class Job:
    """Who reacted to which message or asked for what, and when. `event_time` is a Unix timestamp.

    `installation` is the team or enterprise that installed the app; the bot uses its token. `kind` selects the handler.
    `detail` has the ids that only this kind needs.
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
    shared: bool = False
    """Whether the channel is shared with other organisations."""

    @property
    def owner(self) -> str:
        """The installation whose ledger rows and token are used. In a shared channel, `team` is the reactor's own."""
        return self.installation or self.team

    def to_json(self) -> str:
        fields = asdict(self)
        if self.kind == "reaction":  # during a deployment, a worker of the previous version may read it
            del fields["kind"], fields["detail"]
        if not self.shared:
            del fields["shared"]
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_json(cls, body: str) -> Job:
        """Parse the output of `to_json`. Raises JobError for anything else."""
        try:
            fields = json.loads(body)
            job = cls(**fields)
        except (ValueError, TypeError, RecursionError):
            raise JobError("a queue message is not a job: look at it in the dead-letter queue") from None
        # A command does not refer to a message.
        about = () if job.kind == "command" and job.ts == "" else (job.ts,)
        texts = (job.team, job.channel, *about, job.reactor, job.event_id, job.kind)
        typed = isinstance(job.event_time, int) and isinstance(job.installation, str) and isinstance(job.detail, dict)
        if not typed or not isinstance(job.shared, bool) or not all(isinstance(text, str) and text for text in texts):
            raise JobError("a job lacks an id: look at it in the dead-letter queue")
        if not all(isinstance(value, str) for value in job.detail.values()):
            raise JobError("a job's detail is not an id: look at it in the dead-letter queue")
        return job


def retry_delay(attempt: int, jitter: float | None = None) -> int:
    """Return the seconds until the next attempt: exponential backoff from 2 s, with jitter to spread the jobs.

    `attempt` counts from 1. `jitter` is from 0 to 1; default: random.
    """
    longest: int = min(MAX_DELAY_SECONDS, 2 ** min(attempt, 12))
    share = random.random() if jitter is None else jitter  # noqa: S311 - jitter, not a secret
    return max(1, round(longest * (0.5 + 0.5 * share)))
