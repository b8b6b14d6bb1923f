"""`make load`: acknowledgements at rising rates, jobs a second, and ten times as many reactions as one worker handles.

Everything shares this machine: the receiver, one worker, and in this process the embedded queue and table and the local
Slack, which take most of the time. Exits with 1 if an acknowledged reaction ends without a verdict or with two.

Requests are sent at a constant rate, and a latency counts from the moment at which the request was due: one that had to
wait for a connection counts with its wait (otherwise the slowest moments are measured least: "coordinated omission").
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import statistics
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import typer

from local.bot import BotError, LocalBot
from local.events import ANSWER_SECONDS, encoded, event_callback, signed
from local.situations import EMOJI, FINE, TOXIC
from local.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

CHANNELS = [f"channel{number}" for number in range(100)]  # the local Slack reads a whole channel for one message
CONNECTIONS = 32
QUEUEING_RATE = 25.0  # requests a second that fill the queue
OVERLOAD = 10  # times the rate of one worker
LONGEST_DRAIN = 1800.0  # seconds
PAUSE = 0.5  # seconds between two looks at the queue, which cost the queue time


class Request(NamedTuple):
    """Seconds from the start at which a request was due and was answered; `status` 0 is no answer."""

    due: float
    ended: float
    status: int


def latencies(rate: float, requests: list[Request]) -> dict[str, float]:
    """Return milliseconds, requests a second and the number of requests that were not acknowledged."""
    percentiles = statistics.quantiles([1000 * (ended - due) for due, ended, _ in requests], n=100, method="inclusive")
    acknowledged = sum(request.status == 200 for request in requests)
    held = acknowledged / max(max(request.ended for request in requests), len(requests) / rate)
    times = {f"p{number} ms": round(percentiles[number - 1], 1) for number in (50, 95, 99)}
    return {"offered/s": rate, "held/s": round(held, 1), **times, "errors": len(requests) - acknowledged}


def send(url: str, secret: str, bodies: list[bytes], rate: float) -> list[Request]:
    """Send the bodies at a constant rate over connections that stay open; return the requests in the same order."""
    place = urlsplit(url)
    started = time.perf_counter() + 0.2  # until then the threads have started

    def connect(first: int) -> dict[int, Request]:
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=ANSWER_SECONDS)
        requests = {}
        for number in range(first, len(bodies), CONNECTIONS):
            due = number / rate
            time.sleep(max(0, started + due - time.perf_counter()))
            try:
                connection.request("POST", place.path, bodies[number], signed(bodies[number], secret, int(time.time())))
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection.close()  # the next request opens it again
                status = 0
            requests[number] = Request(due, time.perf_counter() - started, status)
        connection.close()
        return requests

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        requests = {number: one for some in threads.map(connect, range(CONNECTIONS)) for number, one in some.items()}
    return [requests[number] for number in range(len(bodies))]


class Load:
    """A local bot, and the channels in which messages get one reaction each."""

    def __init__(self, bot: LocalBot) -> None:
        self.bot, self.workspace = bot, bot.workspace
        members = {*(self.workspace.add_user(name) for name in ("ada", "grace")), self.workspace.identity.bot_user_id}
        self.channels = [self.workspace.add_channel(name, members=members) for name in CHANNELS]

    def react(self, number: int, rate: float) -> dict[str, Request]:
        """React to new messages at a constant rate; return the requests by the message's timestamp."""
        bodies = {}
        for turn in range(number):
            channel = self.channels[turn % len(CHANNELS)]
            ts = self.workspace.post(channel, "U0ADA", (FINE[0], TOXIC[0], FINE[1])[turn % 3])["ts"]
            event = self.workspace.react(channel, ts, "U0GRACE", EMOJI)
            bodies[ts] = encoded(event_callback(event, self.workspace.identity))
        with get_context("spawn").Pool(1) as process:  # a process of its own waits for nothing but the receiver
            arguments = (self.bot.request_url, self.workspace.signing_secret, [*bodies.values()], rate)
            return dict(zip(bodies, process.apply(send, arguments), strict=True))

    def drain(self) -> float:
        """Return the seconds until the queue is empty."""
        started = time.monotonic()
        self.bot.wait_until_idle(LONGEST_DRAIN, PAUSE)
        return time.monotonic() - started

    def acknowledgements(self, rate: float, seconds: float) -> dict[str, float]:
        """Measure one rate while the worker is stopped."""
        measured = latencies(rate, [*self.react(max(2, round(rate * seconds)), rate).values()])
        self.bot.aws.clear()
        self.bot.aws.create()
        return measured

    def jobs_a_second(self, jobs: int) -> float:
        """Fill the queue, start the worker and time it; raises BotError if the receiver refused a request."""
        statuses = Counter(request.status for request in self.react(jobs, QUEUEING_RATE).values())
        if statuses[200] != jobs:
            lost = f"{jobs - statuses[200]} of {jobs} reactions got no job"
            raise BotError(f"{lost}; answers by status: {dict(statuses)}")
        self.bot.restart_worker()
        return round(jobs / self.drain(), 1)

    def overload(self, rate: float, seconds: float) -> dict[str, float]:
        """Send more than the worker handles, wait until the queue is empty, and count the verdicts."""
        requests = self.react(max(2, round(rate * seconds)), rate)
        drained = round(self.drain(), 1)
        posts = (post for channel in self.channels for post in self.workspace.conversation(channel))
        verdicts = Counter(post["thread_ts"] for post in posts if "metadata" in post)
        numbers = [verdicts[ts] for ts, request in requests.items() if request.status == 200]
        counts = {"accepted": len(numbers), "drained after s": drained, "lost": numbers.count(0)}
        return latencies(rate, [*requests.values()]) | counts | {"doubled": sum(number > 1 for number in numbers)}


def line(cells: Iterable[object]) -> str:
    return "".join(f"{cell!s:>17}" for cell in cells)


def table(rows: list[dict[str, float]]) -> str:
    return "\n".join([line(rows[0]), *(line(row.values()) for row in rows)])


def main(
    rates: Annotated[list[float], typer.Option(help="Requests a second; repeat for more.")] = [10, 25, 50, 100, 200],  # noqa: B006 - typer's default
    seconds: Annotated[float, typer.Option(help="The length of each rate.")] = 15,
    jobs: Annotated[int, typer.Option(help="Jobs for one worker.")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write the figures for programs.")] = None,
) -> None:
    """Measure the load that receiver and worker handle on this machine."""
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores")
    try:
        with LocalBot(Workspace()) as bot:
            load = Load(bot)
            bot.worker.stop()
            figures: dict[str, Any] = {"acknowledgements": [load.acknowledgements(rate, seconds) for rate in rates]}
            print(table(figures["acknowledgements"]), flush=True)
            figures["jobs_a_second"] = load.jobs_a_second(jobs)
            print(f"one worker ends {figures['jobs_a_second']} jobs a second ({jobs} jobs)", flush=True)
            spike = figures["overload"] = load.overload(OVERLOAD * figures["jobs_a_second"], seconds / 3)
            print(f"{OVERLOAD} times as many:\n{table([spike])}")
    except BotError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    if json_file:
        json_file.write_text(json.dumps(figures, indent=1) + "\n")
    raise typer.Exit(int(not spike["accepted"] or spike["lost"] > 0 or spike["doubled"] > 0))


if __name__ == "__main__":
    typer.run(main)
