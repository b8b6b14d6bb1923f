"""Run the receiver or the worker as AWS does: `python -m local.functions receiver`, or `worker`.

The receiver is served over HTTP, as by API Gateway, with persistent connections, which werkzeug's server lacks. The
worker gets jobs from the queue. If it is killed, or a batch exceeds the function's timeout, the batch returns to the
queue after the visibility timeout. With `--listen-fd` the worker can also be invoked directly, through Lambda's API.
Batches and invocations run one at a time. Both functions read the environment. This module does not use typer, because
the start-up time is measured.
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
    Lock = AbstractContextManager[object]

BATCH_SIZE = 1  # so that no verdict waits for another
TIMEOUT_SECONDS = 30  # of the worker


def load(function: str) -> ModuleType:
    """Import a function's module, which reads the environment on import."""
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
    """Serve until stopped. Write a line with the port to `ready_fd` when requests are accepted."""
    Gateway.function = load("receiver")
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        os.write(ready_fd, f"{server.server_port}\n".encode())
        server.serve_forever()


def invoke(handler: Handler, event: dict[str, Any], timeout_seconds: float, lock: Lock) -> dict[str, Any]:
    """Run one invocation. Use `lock`, since a Lambda instance runs one invocation at a time.

    SIGALRM ends the process when the invocation times out. The ledger's claims rely on this.
    """
    with lock:
        signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
        try:
            return handler(event, LocalContext("worker", timeout_seconds))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


class InvokeApi(ThreadingHTTPServer):
    """Lambda's API to invoke a function, at a socket that later workers can reuse."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, handler: Handler, timeout_seconds: float, lock: Lock) -> None:
        super().__init__(listener.getsockname(), _Invocation, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.invoke = functools.partial(invoke, handler, timeout_seconds=timeout_seconds, lock=lock)


class _Invocation(BaseHTTPRequestHandler):
    """One synchronous call of https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html."""

    server: InvokeApi

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            answer, failed = self.server.invoke(event), False
        except Exception as error:  # respond as Lambda's runtime does
            answer, failed = {"errorType": type(error).__name__, "errorMessage": str(error)}, True
        body = json.dumps(answer).encode()
        with contextlib.suppress(ConnectionError):  # the caller closed the connection
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
    lock: Lock | None = None,
) -> int:
    """Handle one batch, delete the jobs that succeeded, and return the size of the batch."""
    answer = sqs.receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=BATCH_SIZE,
        WaitTimeSeconds=wait_seconds,
        MessageSystemAttributeNames=["All"],
    )
    messages = answer.get("Messages", [])
    if messages:
        result = invoke(handler, sqs_event(messages), timeout_seconds, lock or threading.Lock())
        failed = {failure["itemIdentifier"] for failure in result["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return len(messages)


def compress(factor: int) -> None:
    """Divide the delays that the worker sets on its jobs. SQS uses whole seconds, so short delays become 0."""

    def shorten(params: dict[str, Any], **_: object) -> None:
        params["VisibilityTimeout"] //= factor

    load("worker").queue.meta.events.register("provide-client-params.sqs.ChangeMessageVisibility", shorten)


def feed_worker(options: argparse.Namespace) -> None:
    """Handle `--jobs` jobs, or run until SIGTERM. Write a line to `--ready-fd` when the model is loaded."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    if options.slack_timeout:
        slack: Any = load("slack_messages")
        slack.TIMEOUT_SECONDS = options.slack_timeout
    if options.compression > 1:
        compress(options.compression)
    handler, lock, timeout = load("worker").handler, threading.Lock(), TIMEOUT_SECONDS / options.compression
    if options.listen_fd is not None:
        api = InvokeApi(socket.socket(fileno=options.listen_fd), handler, timeout, lock)
        threading.Thread(target=api.serve_forever, args=(0.05,), daemon=True).start()
    os.write(options.ready_fd, b"ready\n")
    sqs, handled = boto3.client("sqs"), 0
    while not stopping and handled < options.jobs:
        handled += poll(sqs, os.environ["JOBS_QUEUE_URL"], handler, 1, timeout, lock)


def _end_with_parent(ready_fd: int) -> None:
    """End this process when the other end of its socket closes, for example because a terminal was closed."""
    with contextlib.suppress(ConnectionResetError):  # the parent has not read the line
        os.read(ready_fd, 1)
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.functions", description=__doc__)
    parser.add_argument("function", choices=["receiver", "worker"])
    parser.add_argument("--ready-fd", type=int, help="a socket that gets a line when the function is ready")
    parser.add_argument("--jobs", type=float, default=float("inf"), help="stop the worker after this many")
    parser.add_argument("--listen-fd", type=int, help="a listening socket that accepts invocations of the worker")
    parser.add_argument("--compression", type=int, default=1, help="divide the worker's timeout and delays by this")
    parser.add_argument("--slack-timeout", type=float, help="the worker's timeout for Slack, in seconds")
    options = parser.parse_args()
    if options.ready_fd is None:
        options.ready_fd = sys.stdout.fileno()
    else:
        threading.Thread(target=_end_with_parent, args=(options.ready_fd,), daemon=True).start()
    if options.function == "receiver":
        serve_receiver(options.ready_fd)
    else:
        feed_worker(options)


if __name__ == "__main__":
    main()
