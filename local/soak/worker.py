"""A worker in compressed time: every second that the bot, the queue and the ledger count takes a fifth of one.

Divided by `COMPRESSION`: what a job waits for in the queue (`retry_delay`, Retry-After), the function's time-out and
with it the ledger's claims, and the patience with Slack. Their order stays, so whatever comes too late still does, and
what is decided is decided by the bot's own code. The bot's own milliseconds stay as they are, which makes claims run
out earlier relative to the work than they would: harder, not easier. Now and then a finished job is left on the queue.
"""

from __future__ import annotations

import argparse
import os
import signal
from random import Random
from typing import Any

import boto3

from local.event_source import TIMEOUT_SECONDS, poll
from local.lambda_context import load

COMPRESSION = 5
INVOCATION_SECONDS = TIMEOUT_SECONDS / COMPRESSION
# What SQS waits before it gives a dead worker's job to another: more than the function may take, as in an account.
VISIBILITY_SECONDS = round(INVOCATION_SECONDS) + 1
FORGOTTEN = 0.01  # of the jobs that ended


class ForgetfulQueue:
    """SQS that sometimes delivers again what was deleted, which a standard queue may."""

    def __init__(self, sqs: Any, random: Random) -> None:
        self._sqs, self._random = sqs, random
        self.receive_message = sqs.receive_message

    def delete_message(self, **arguments: Any) -> None:
        if self._random.random() >= FORGOTTEN:
            self._sqs.delete_message(**arguments)


def compress(params: dict[str, Any], **_: object) -> None:
    """Shorten the wait that the worker asks of the queue; SQS counts whole seconds, so the shortest become none."""
    params["VisibilityTimeout"] = int(params["VisibilityTimeout"] / COMPRESSION)


def main() -> None:
    """Poll until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local.soak.worker", description=__doc__)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--seed", required=True)
    given = parser.parse_args()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    slack_messages: Any = load("slack_messages")
    slack_messages.TIMEOUT_SECONDS /= COMPRESSION
    worker = load("worker")
    worker.queue.meta.events.register("provide-client-params.sqs.ChangeMessageVisibility", compress)
    sqs = ForgetfulQueue(boto3.client("sqs"), Random(given.seed))  # noqa: S311 - a test's dice
    os.write(given.ready_fd, b"ready\n")
    while not stopping:
        poll(sqs, os.environ["JOBS_QUEUE_URL"], worker.handler, 1, INVOCATION_SECONDS)


if __name__ == "__main__":
    main()
