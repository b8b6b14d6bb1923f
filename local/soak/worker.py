"""A worker process in which every second of the bot, the queue and the ledger lasts a fifth of a second.

Divided by `COMPRESSION` are the delay before a job comes again (`retry_delay`, Retry-After), the function's time-out,
and with it the ledger's claims, and the time-out for Slack. Their order stays the same. The bot's own milliseconds are
not compressed, so claims expire earlier relative to the work than in an account: harder, not easier.
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
# When SQS gives a killed worker's job to another: later than the function's time-out, as in an account.
VISIBILITY_SECONDS = round(INVOCATION_SECONDS) + 1
REDELIVERED = 0.01  # share of the finished jobs


class RedeliveringQueue:
    """SQS that sometimes delivers a deleted job again, as a standard queue may."""

    def __init__(self, sqs: Any, random: Random) -> None:
        self._sqs, self._random = sqs, random
        self.receive_message = sqs.receive_message

    def delete_message(self, **arguments: Any) -> None:
        if self._random.random() >= REDELIVERED:
            self._sqs.delete_message(**arguments)


def compress(params: dict[str, Any], **_: object) -> None:
    """Shorten the delay that the worker sets; SQS counts whole seconds, so the shortest become 0."""
    params["VisibilityTimeout"] = int(params["VisibilityTimeout"] / COMPRESSION)


def main() -> None:
    """Poll until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local.soak.worker")
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--seed", required=True)
    given = parser.parse_args()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    slack_messages: Any = load("slack_messages")
    slack_messages.TIMEOUT_SECONDS /= COMPRESSION
    worker = load("worker")
    worker.queue.meta.events.register("provide-client-params.sqs.ChangeMessageVisibility", compress)
    sqs = RedeliveringQueue(boto3.client("sqs"), Random(given.seed))  # noqa: S311 - reproducible, not secret
    os.write(given.ready_fd, b"ready\n")
    while not stopping:
        poll(sqs, os.environ["JOBS_QUEUE_URL"], worker.handler, 1, INVOCATION_SECONDS)


if __name__ == "__main__":
    main()
