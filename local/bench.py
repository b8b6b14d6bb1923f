"""`make bench`: measure the receiver, the worker and the worker's cold start on this machine.

Receiver and worker run in this process; SQS, DynamoDB and Slack are local servers in another process.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from local.aws import EmbeddedAws
from local.bot import ROOT, bot_environ
from local.events import api_gateway_event, encoded, event_callback, signed, sqs_event
from local.functions import LocalContext, load
from local.situations import EMOJI, FINE, REACTOR, TOXIC
from local.slack_server import SlackServer
from local.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

RUNS = 300
WARM_UP = 10  # runs that are not counted
COLD_STARTS = 9
TEXTS = (FINE[0], TOXIC[0])


def serve(pipe: Connection) -> None:
    """Run the servers; answer each number from the pipe with so many signed events, until it is None."""
    workspace = Workspace.example()
    with EmbeddedAws() as aws, SlackServer(workspace) as slack:
        pipe.send(bot_environ(aws, workspace) | {"SLACK_API_URL": slack.url})
        while (number := pipe.recv()) is not None:
            pipe.send([_signed_event(workspace, TEXTS[turn % len(TEXTS)]) for turn in range(number)])


def _signed_event(workspace: Workspace, text: str) -> dict[str, Any]:
    message = workspace.post("C0GENERAL", "U0ADA", text)
    event = workspace.react("C0GENERAL", message["ts"], REACTOR, EMOJI)
    body = encoded(event_callback(event, workspace.identity))
    return api_gateway_event(body, signed(body, workspace.signing_secret, int(time.time())))


class Stopwatch:
    """Replaces a function by one that adds up the milliseconds spent in it."""

    def __init__(self, owner: Any, name: str) -> None:
        self.milliseconds = 0.0
        timed: Callable[..., Any] = getattr(owner, name)

        def measured(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return timed(*arguments, **named)
            finally:
                self.milliseconds += (time.perf_counter() - started) * 1000

        setattr(owner, name, measured)


def receiver_times(events: list[dict[str, Any]]) -> Iterator[float]:
    """Yield the milliseconds of each warm call of the receiver's handler, the send to SQS included."""
    receiver = load("receiver")
    for event in events:
        started = time.perf_counter()
        answer = receiver.handler(event, LocalContext("receiver"))
        yield (time.perf_counter() - started) * 1000
        if answer["statusCode"] != 200:
            raise RuntimeError(f"the receiver answered {answer['statusCode']}")


def worker_times(jobs: int) -> Iterator[dict[str, float]]:
    """Yield the worker's milliseconds for each job: total, waiting, model, and the rest."""
    worker = load("worker")
    from botocore.httpsession import URLLib3Session
    from slack_sdk.web import base_client

    waits = Stopwatch(base_client, "urlopen"), Stopwatch(URLLib3Session, "send")
    model = Stopwatch(worker.classifier, "assess"), Stopwatch(worker.classifier, "words")
    sqs, queue_url = boto3.client("sqs"), os.environ["JOBS_QUEUE_URL"]
    for _ in range(jobs):
        messages = sqs.receive_message(QueueUrl=queue_url, MessageSystemAttributeNames=["All"])["Messages"]
        for watch in (*waits, *model):
            watch.milliseconds = 0
        started = time.perf_counter()
        answer = worker.handler(sqs_event(messages), LocalContext("worker"))
        total = (time.perf_counter() - started) * 1000
        if answer["batchItemFailures"]:
            raise RuntimeError("the worker did not end a job")
        waiting, judging = (sum(watch.milliseconds for watch in watches) for watches in (waits, model))
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=messages[0]["ReceiptHandle"])
        yield {"total": total, "waiting": waiting, "model": judging, "own": total - waiting - judging}


def python(*arguments: str) -> float:
    """Return the milliseconds of a fresh Python process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


def drop_caches() -> bool:
    """Drop the kernel's page cache; return whether this user may."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        return False
    return True


def line(what: str, milliseconds: list[float]) -> str:
    """Return one row of the table: median and 95th percentile."""
    p95 = statistics.quantiles(milliseconds, n=20)[-1]
    return f"{what:<52} {statistics.median(milliseconds):8.1f} {p95:8.1f}"


def main() -> None:
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    os.environ.update(here.recv(), POWERTOOLS_LOG_LEVEL="CRITICAL")

    def events(number: int) -> list[dict[str, Any]]:
        here.send(number)
        return list(here.recv())

    # The functions write their metrics to standard output.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        receiver = list(receiver_times(events(RUNS + WARM_UP)))
        worker = list(worker_times(RUNS + WARM_UP))
        cold = []
        for event in events(COLD_STARTS):
            list(receiver_times([event]))
            cold.append(python("-m", "local.functions", "worker", "--jobs", "1"))
    score = f"from toxicity_bot import Classifier; Classifier({os.environ['MODEL_DIR']!r}).toxicity({TEXTS[0]!r})"
    warm_scores = [python("-c", score) for _ in range(COLD_STARTS)]
    cold_scores = [python("-c", score) for _ in range(COLD_STARTS) if drop_caches()]
    here.send(None)
    server.join()
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(f"{'milliseconds':<52} {'median':>8} {'p95':>8}")
    print(line(f"receiver.handler, warm, with the send to SQS ({RUNS})", receiver[WARM_UP:]))
    for part, what in {
        "total": f"worker.handler, warm, one job ({RUNS})",
        "waiting": "  of which: waiting for Slack and DynamoDB",
        "model": "  of which: the model, with the words that weighed most",
        "own": "  of which: the worker's own",
    }.items():
        print(line(what, [times[part] for times in worker[WARM_UP:]]))
    print(line(f"cold start: python to the first verdict ({COLD_STARTS})", cold))
    print(line(f"python to the first score, files in memory ({COLD_STARTS})", warm_scores))
    if cold_scores:
        print(line(f"python to the first score, nothing in memory ({COLD_STARTS})", cold_scores))
    else:
        print("python to the first score, nothing in memory: only root may drop the page cache")


if __name__ == "__main__":
    main()
