"""`make bench`: measure receiver, worker, cold starts, private answers, scores over HTTP and long texts.

The receiver and the worker run in a separate process. SQS, DynamoDB and Slack are local servers in this process.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from timeit import timeit
from typing import TYPE_CHECKING, Any

import boto3
import urllib3

from local.aws import EmbeddedAws
from local.bot import RECEIVER, ROOT, WORKER, LocalBot, bot_environ
from local.events import Deliveries, encoded, event_callback, signed, sqs_event
from local.functions import LocalContext, load
from local.situations import EMOJI, FINE, REACTOR, TOXIC
from local.slack_server import SlackServer
from local.workspace import Workspace
from toxicity_bot.gateway import api_gateway_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RUNS = 300
WARM_UP = 10  # runs before the measurement
COLD_STARTS = 9
PRIVATE_ANSWERS = 100
TEXTS = (FINE[0], TOXIC[0])
PARTS = (
    f"worker.handler, warm, one job ({RUNS})",
    "  of which: waiting for Slack and DynamoDB",
    "  of which: the model, with the words that weighed most",
    "  of which: the worker's own",
)


def since(started: float) -> float:
    """Return the milliseconds since `started`, a value of `time.perf_counter`."""
    return (time.perf_counter() - started) * 1000


class Stopwatch:
    """Wraps a function to add up the milliseconds spent in it."""

    def __init__(self, owner: Any, name: str) -> None:
        self.milliseconds = 0.0
        timed: Callable[..., Any] = getattr(owner, name)

        def measured(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return timed(*arguments, **named)
            finally:
                self.milliseconds += since(started)

        setattr(owner, name, measured)


def signed_events(workspace: Workspace, count: int) -> list[dict[str, Any]]:
    """React to `count` new messages. Return the receiver's events for the reactions."""
    events = []
    for number in range(count):
        # Each text is different, since the worker caches scores.
        message = workspace.post("C0GENERAL", "U0ADA", f"{TEXTS[number % len(TEXTS)]} {number}")
        event = workspace.react("C0GENERAL", message["ts"], REACTOR, EMOJI)
        body = encoded(event_callback(event, workspace.identity))
        events.append(api_gateway_event(body, signed(body, workspace.signing_secret, int(time.time()))))
    return events


def use(environ: dict[str, str]) -> None:
    """Set the environment of the functions' process, and discard the metrics on standard output."""
    os.environ.update(environ, POWERTOOLS_LOG_LEVEL="CRITICAL")
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends


def receiver_times(events: list[dict[str, Any]]) -> list[float]:
    """Return the milliseconds of each warm call of the receiver's handler, including the send to SQS."""
    receiver = load("receiver")
    times = []
    for event in events:
        started = time.perf_counter()
        answer = receiver.handler(event, LocalContext("receiver"))
        times.append(since(started))
        if answer["statusCode"] != 200:
            raise RuntimeError(f"the receiver answered {answer['statusCode']}")
    return times


def worker_times(jobs: int) -> list[tuple[float, float, float, float]]:
    """Return the worker's milliseconds for each job: in total, waiting, in the model, and the rest."""
    worker = load("worker")
    from botocore.httpsession import URLLib3Session
    from slack_sdk.web import base_client

    waits = Stopwatch(base_client, "urlopen"), Stopwatch(URLLib3Session, "send")
    model = Stopwatch(worker.classifier, "assess"), Stopwatch(worker.classifier, "words")
    sqs, queue_url = boto3.client("sqs"), os.environ["JOBS_QUEUE_URL"]
    times = []
    for _ in range(jobs):
        messages = sqs.receive_message(QueueUrl=queue_url, MessageSystemAttributeNames=["All"])["Messages"]
        for watch in (*waits, *model):
            watch.milliseconds = 0
        started = time.perf_counter()
        answer = worker.handler(sqs_event(messages), LocalContext("worker"))
        total = since(started)
        if answer["batchItemFailures"]:
            raise RuntimeError("the worker did not end a job")
        waiting, judging = (sum(watch.milliseconds for watch in watches) for watches in (waits, model))
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=messages[0]["ReceiptHandle"])
        times.append((total, waiting, judging, total - waiting - judging))
    return times


def cold_start(environ: dict[str, str]) -> float:
    """Return the milliseconds that a new worker needs for one job."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "local.functions", "worker", "--jobs", "1"]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL, process_group=0)
    return since(started)


def private_answers() -> None:
    """Print how long people wait for a private answer, from Slack's request until the answer is shown."""
    with LocalBot(Workspace.example()) as bot:
        warm = [_time_private_answer(bot, number) for number in range(PRIVATE_ANSWERS + WARM_UP)][WARM_UP:]
        row(f"shortcut to private answer, warm ({PRIVATE_ANSWERS})", warm)
        cold, both = [], []
        for number in range(COLD_STARTS):
            bot.worker.kill()
            started = time.perf_counter()
            bot.worker = bot.start(WORKER)
            answered = _time_private_answer(bot, PRIVATE_ANSWERS + WARM_UP + number)
            cold.append(since(started))
            bot.worker.wait_until_ready()
            started = time.perf_counter()
            receiver = bot.start(RECEIVER)
            receiver.wait_until_ready()
            both.append(since(started) + answered)
            receiver.stop()
    row(f"  the same, the worker starts with the request ({COLD_STARTS})", cold)
    row(f"  the same, the receiver starts before it ({COLD_STARTS})", both)


def _time_private_answer(bot: LocalBot, number: int) -> float:
    """Use the shortcut on a new message. Return the milliseconds from the request to the answer."""
    message = bot.workspace.post("C0RANDOM", "U0ADA", f"{TEXTS[number % len(TEXTS)]} {number}")
    payload = bot.slack.message_action("check_toxicity", "C0RANDOM", message["ts"], REACTOR)
    before, started = len(bot.workspace.ephemerals), time.perf_counter()
    delivery = Deliveries(bot.request_url, bot.workspace.signing_secret).ask(payload)
    if delivery.failure:
        raise RuntimeError(f"the receiver answered {delivery.status} ({delivery.failure})")
    bot.wait_for_private(before)
    return since(started)


def scores_over_http() -> None:
    """Print how many requests a second `toxicity-bot serve` answers on the loopback interface, and the latency."""
    print("\nconnections  requests/s  p50 ms  p99 ms")
    with LocalBot(Workspace.example()) as bot:
        port = int(bot.start(("toxicity_bot.commands", "serve", "--port", "0")).wait_until_ready())
        bot.worker.stop()
        server = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=8)

        def score(text: str) -> None:
            body = {"comment": {"text": text}, "requestedAttributes": {"TOXICITY": {}}}
            if (status := server.request("POST", "/v1alpha1/comments:analyze", json=body).status) != 200:
                raise RuntimeError(f"the scorer answered {status}")

        for many in (1, 8):
            # Each text is different, since the server caches scores.
            texts = [f"{TEXTS[number % len(TEXTS)]} {many} {number}" for number in range(500)]
            started = time.perf_counter()
            with ThreadPoolExecutor(many) as clients:
                times = [*clients.map(lambda text: 1000 * timeit(partial(score, text), number=1), texts)]
            rate, cuts = 1000 * len(texts) / since(started), statistics.quantiles(times, n=100)
            print(f"{many:11} {rate:11.1f} {cuts[49]:7.1f} {cuts[98]:7.1f}", flush=True)


def text_lengths() -> None:
    """Print how long it takes on one thread to normalize and to judge texts of growing length."""
    from toxicity_bot import Classifier
    from toxicity_bot.message_text import fold

    verdict = Classifier(threads=1).verdict
    kinds = (f"{FINE[0]} ", "p\u0430yp\u0430l \uff49\uff44 ", "\u0301\u0323", "\ufdfa")
    print("\nmilliseconds to normalize a text of this many characters, and to judge the prose")
    print("   characters        prose  look-alikes        marks    ligatures      verdict         read")
    for length in (1_000, 10_000, 100_000, 1_000_000):
        texts = [(kind * (length // len(kind) + 1))[:length] for kind in kinds]
        seconds = [timeit(partial(fold, text), number=1) for text in texts]
        seconds.append(timeit(partial(verdict, texts[0]), number=1))
        shown = "".join(f"{1000 * one:13.1f}" for one in seconds)
        print(f"{length:13,}{shown}{verdict(texts[0]).share:13.1%}", flush=True)


def row(what: str, milliseconds: Sequence[float]) -> None:
    """Print a row of the table: median and 95th percentile."""
    p95 = statistics.quantiles(milliseconds, n=20)[-1]
    print(f"{what:<52} {statistics.median(milliseconds):8.1f} {p95:8.1f}", flush=True)


def main() -> None:
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(f"{'milliseconds':<52} {'median':>8} {'p95':>8}")
    workspace = Workspace.example()
    with EmbeddedAws() as aws, SlackServer(workspace) as slack:
        environ = bot_environ(aws, workspace) | {"SLACK_API_URL": slack.url}
        with get_context("spawn").Pool(1, use, (environ,)) as process:
            times = process.apply(receiver_times, (signed_events(workspace, RUNS + WARM_UP),))
            row(f"receiver.handler, warm, with the send to SQS ({RUNS})", times[WARM_UP:])
            parts = process.apply(worker_times, (RUNS + WARM_UP,))[WARM_UP:]
            for what, milliseconds in zip(PARTS, zip(*parts, strict=True), strict=True):
                row(what, milliseconds)
            cold = []
            for _ in range(COLD_STARTS):
                process.apply(receiver_times, (signed_events(workspace, 1),))
                cold.append(cold_start(environ))
    row(f"cold start: python to the first verdict ({COLD_STARTS})", cold)
    private_answers()
    scores_over_http()
    text_lengths()


if __name__ == "__main__":
    main()
