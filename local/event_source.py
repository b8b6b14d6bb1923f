"""Lambda's SQS event source: poll the queue, pass batches to `worker.handler`, delete the jobs that succeeded.

Run it as a process: `python -m local.event_source`, with the worker's variables in the environment. On SIGTERM it stops
after the current batch. If it is killed, or a batch exceeds the function's time-out, the batch returns to the queue
after the visibility time-out, as on Lambda. It starts without typer, since its start is measured.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import boto3

from local.events import sqs_event
from local.lambda_context import LocalContext, load

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH_SIZE = 1  # so that no verdict waits for another one
TIMEOUT_SECONDS = 30


def poll(
    sqs: Any,
    queue_url: str,
    handler: Callable[[dict[str, Any], Any], dict[str, Any]],
    wait_seconds: int,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> int:
    """Handle one batch and return its number of jobs.

    SIGALRM ends an invocation at its time-out: the ledger's claims rely on it.
    """
    answer = sqs.receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=BATCH_SIZE,
        WaitTimeSeconds=wait_seconds,
        MessageSystemAttributeNames=["All"],
    )
    messages = answer.get("Messages", [])
    if messages:
        signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
        result = handler(sqs_event(messages), LocalContext("worker", timeout_seconds))
        signal.setitimer(signal.ITIMER_REAL, 0)
        failed = {failure["itemIdentifier"] for failure in result["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return len(messages)


def main(arguments: list[str] | None = None) -> None:
    """Poll until SIGTERM or the end of --jobs; write a line to --ready-fd when the model is loaded."""
    parser = argparse.ArgumentParser(prog="python -m local.event_source", description=__doc__)
    parser.add_argument("--ready-fd", type=int, default=sys.stdout.fileno())
    parser.add_argument("--jobs", type=float, default=float("inf"), help="the number of jobs to handle")
    given = parser.parse_args(arguments)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    worker = load("worker")
    os.write(given.ready_fd, b"ready\n")
    sqs = boto3.client("sqs")
    handled = 0
    while not stopping and handled < given.jobs:
        handled += poll(sqs, os.environ["JOBS_QUEUE_URL"], worker.handler, wait_seconds=1)


if __name__ == "__main__":
    main()
