"""Run the receiver or the worker as AWS does: `python -m local.functions receiver`, or `worker`.

The receiver is served over HTTP, as by API Gateway, with connections that stay open, which werkzeug's server closes.
The worker gets jobs from the queue. If it is killed, or a batch exceeds the function's time-out, the batch returns to
the queue after the visibility time-out. With `--listen-fd` it is also invoked directly, through Lambda's API: a batch
and an invocation wait for each other. Both read the environment. They start without typer: the start is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3

from local.events import sqs_event
from toxicity_bot.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import ModuleType

    Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
    Turn = AbstractContextManager[object]

BATCH_SIZE = 1  # so that no verdict waits for another one
TIMEOUT_SECONDS = 30  # of the worker


def load(function: str) -> ModuleType:
    """Import a function's module, which reads the environment at that moment."""
    return importlib.import_module(f"toxicity_bot.{function}")


@dataclass(frozen=True)
class LocalContext:
    """The part of Lambda's context that the bot and Powertools use."""

    function_name: str
    timeout_seconds: float = TIMEOUT_SECONDS
    memory_limit_in_mb: int = 1769
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _started: float = field(default_factory=time.monotonic, repr=False)

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:eu-west-1:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self.timeout_seconds - (time.monotonic() - self._started)) * 1000))


def serve_receiver(ready_fd: int) -> None:
    """Serve until stopped; write a line with the port to `ready_fd` once requests are accepted."""
    Gateway.function = load("receiver")
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        os.write(ready_fd, f"{server.server_port}\n".encode())
        server.serve_forever()


def invoke(handler: Handler, event: dict[str, Any], timeout_seconds: float, turn: Turn) -> dict[str, Any]:
    """Run one invocation in its turn, since a function's process runs one at a time.

    SIGALRM ends the process at the invocation's time-out: the ledger's claims rely on it.
    """
    with turn:
        signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
        try:
            return handler(event, LocalContext("worker", timeout_seconds))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


class InvokeApi(ThreadingHTTPServer):
    """Lambda's API to invoke a function, at a socket that may be shared with a worker that runs later."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, handler: Handler, timeout_seconds: float, turn: Turn) -> None:
        super().__init__(listener.getsockname(), _Invocation, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.invoke = functools.partial(invoke, handler, timeout_seconds=timeout_seconds, turn=turn)


class _Invocation(BaseHTTPRequestHandler):
    """One call of https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html, synchronous."""

    server: InvokeApi

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            answer, failed = self.server.invoke(event), False
        except Exception as error:  # as Lambda's runtime answers
            answer, failed = {"errorType": type(error).__name__, "errorMessage": str(error)}, True
        body = json.dumps(answer).encode()
        with contextlib.suppress(ConnectionError):  # the caller did not wait
            self.send_response(200)
            if failed:
                self.send_header("X-Amz-Function-Error", "Unhandled")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
        """Log nothing."""


def poll(
    sqs: Any,
    queue_url: str,
    handler: Handler,
    wait_seconds: int,
    timeout_seconds: float = TIMEOUT_SECONDS,
    turn: Turn | None = None,
) -> int:
    """Handle one batch, delete the jobs that succeeded, and return the number of jobs."""
    answer = sqs.receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=BATCH_SIZE,
        WaitTimeSeconds=wait_seconds,
        MessageSystemAttributeNames=["All"],
    )
    messages = answer.get("Messages", [])
    if messages:
        result = invoke(handler, sqs_event(messages), timeout_seconds, turn or threading.Lock())
        failed = {failure["itemIdentifier"] for failure in result["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return len(messages)


def compress(factor: int) -> None:
    """Divide the delays that the worker sets on its jobs; SQS counts whole seconds, so the shortest become 0."""

    def shorten(params: dict[str, Any], **_: object) -> None:
        params["VisibilityTimeout"] //= factor

    load("worker").queue.meta.events.register("provide-client-params.sqs.ChangeMessageVisibility", shorten)


def feed_worker(given: argparse.Namespace) -> None:
    """Handle so many jobs, or until SIGTERM; write a line to the descriptor when the model is loaded."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    if given.slack_timeout:
        slack: Any = load("slack_messages")
        slack.TIMEOUT_SECONDS = given.slack_timeout
    if given.compression > 1:
        compress(given.compression)
    handler, turn, timeout = load("worker").handler, threading.Lock(), TIMEOUT_SECONDS / given.compression
    if given.listen_fd is not None:
        api = InvokeApi(socket.socket(fileno=given.listen_fd), handler, timeout, turn)
        threading.Thread(target=api.serve_forever, args=(0.05,), daemon=True).start()
    os.write(given.ready_fd, b"ready\n")
    sqs, handled = boto3.client("sqs"), 0
    while not stopping and handled < given.jobs:
        handled += poll(sqs, os.environ["JOBS_QUEUE_URL"], handler, 1, timeout, turn)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.functions", description=__doc__)
    parser.add_argument("function", choices=["receiver", "worker"])
    parser.add_argument("--ready-fd", type=int, default=sys.stdout.fileno())
    parser.add_argument("--jobs", type=float, default=float("inf"), help="how many the worker handles")
    parser.add_argument("--listen-fd", type=int, help="a socket that listens, at which the worker is invoked")
    parser.add_argument("--compression", type=int, default=1, help="divides the worker's time-out and delays")
    parser.add_argument("--slack-timeout", type=float, help="seconds that the worker waits for Slack")
    given = parser.parse_args()
    if given.function == "receiver":
        serve_receiver(given.ready_fd)
    else:
        feed_worker(given)


if __name__ == "__main__":
    main()
