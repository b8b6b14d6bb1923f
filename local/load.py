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
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from local.bot import BotError, LocalBot
from local.events import ANSWER_SECONDS, encoded, event_callback, signed
from local.situations import EMOJI, FINE, TOXIC
from local.workspace import Workspace

CHANNELS = [f"channel{number}" for number in range(100)]  # the local Slack reads a whole channel for one message
CONNECTIONS = 32
ROUNDS = 3
QUEUEING_RATE = 25.0  # requests a second that fill the queue
OVERLOAD = 10  # times the rate of one worker
LONGEST_DRAIN = 1800.0  # seconds
PAUSE = 0.5  # seconds between two looks at the queue, which cost the queue time


@dataclass(frozen=True)
class Latencies:
    """The result of one rate: milliseconds, and requests a second."""

    offered: float
    held: float
    p50: float
    p95: float
    p99: float
    errors: int


@dataclass(frozen=True)
class Request:
    """Seconds from the start at which a request was due and was answered; `status` 0 is no answer."""

    due: float
    ended: float
    status: int


def latencies(rate: float, requests: list[Request]) -> Latencies:
    times = [1000 * (request.ended - request.due) for request in requests]
    percentiles = statistics.quantiles(times, n=100, method="inclusive")
    acknowledged = sum(request.status == 200 for request in requests)
    held = acknowledged / max(max(request.ended for request in requests), len(requests) / rate)
    p50, p95, p99 = (round(percentiles[number - 1], 1) for number in (50, 95, 99))
    return Latencies(rate, round(held, 1), p50, p95, p99, len(requests) - acknowledged)


def offer(url: str, secret: str, bodies: list[bytes], rate: float) -> list[Request]:
    """Send the bodies at a constant rate over connections that stay open; return the requests in the same order."""
    place = urlsplit(url)
    started = time.perf_counter() + 0.2  # until then the threads have started

    def send(first: int) -> dict[int, Request]:
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
        requests = {number: one for some in threads.map(send, range(CONNECTIONS)) for number, one in some.items()}
    return [requests[number] for number in range(len(bodies))]


class Load:
    """A local bot and messages with one reaction each; `messages` are their timestamps."""

    def __init__(self, bot: LocalBot) -> None:
        self.bot = bot
        members = {*(bot.workspace.add_user(name) for name in ("ada", "grace")), bot.workspace.identity.bot_user_id}
        self._channels = [bot.workspace.add_channel(name, members=members) for name in CHANNELS]

    def react(self, number: int) -> dict[str, bytes]:
        """Post messages and react to each; return the body of the event by the message's timestamp."""
        workspace = self.bot.workspace
        bodies = {}
        for turn in range(number):
            channel = self._channels[turn % len(CHANNELS)]
            ts = workspace.post(channel, "U0ADA", (FINE[0], TOXIC[0], FINE[1])[turn % 3])["ts"]
            event = workspace.react(channel, ts, "U0GRACE", EMOJI)
            bodies[ts] = encoded(event_callback(event, workspace.identity))
        return bodies

    def offer(self, bodies: list[bytes], rate: float) -> list[Request]:
        """Send from a process of its own, which waits for nothing but the receiver."""
        with get_context("spawn").Pool(1) as process:
            secret = self.bot.workspace.signing_secret
            return process.apply(offer, (self.bot.request_url, secret, bodies, rate))

    def acknowledgements(self, rate: float, seconds: float) -> Latencies:
        """Measure one rate while the worker is stopped; return medians, since other programs disturb single rounds."""
        (body,) = self.react(1).values()
        rounds = []
        for _ in range(ROUNDS):
            rounds.append(latencies(rate, self.offer([body] * max(2, round(rate * seconds)), rate)))
            self.bot.aws.clear()
            self.bot.aws.create()
        medians = {name: statistics.median(getattr(one, name) for one in rounds) for name in asdict(rounds[0])}
        return Latencies(**medians | {"errors": sum(one.errors for one in rounds)})

    def jobs_a_second(self, jobs: int) -> float:
        """Fill the queue, start the worker and time it; raises BotError if the receiver refused a request."""
        statuses = Counter(request.status for request in self.offer([*self.react(jobs).values()], QUEUEING_RATE))
        if statuses[200] != jobs:
            raise BotError(
                f"{jobs - statuses[200]} of {jobs} reactions got no job; answers by status: {dict(statuses)}"
            )
        self.bot.restart_worker()
        started = time.monotonic()
        self.bot.wait_until_idle(LONGEST_DRAIN, PAUSE)
        return jobs / (time.monotonic() - started)

    def overload(self, rate: float, seconds: float) -> dict[str, Any]:
        """Send more than the worker handles, wait until the queue is empty, and count the verdicts."""
        reactions = self.react(round(rate * seconds))
        requests = self.offer([*reactions.values()], rate)
        accepted = [ts for ts, request in zip(reactions, requests, strict=True) if request.status == 200]
        started = time.monotonic()
        self.bot.wait_until_idle(LONGEST_DRAIN, PAUSE)
        drained = round(time.monotonic() - started, 1)
        posts = (post for channel in self._channels for post in self.bot.workspace.conversation(channel))
        counts = {"requests": len(requests), "accepted": len(accepted), "drained_after_seconds": drained}
        verdicts = Counter(str(post["thread_ts"]) for post in posts if "metadata" in post)
        return asdict(latencies(rate, requests)) | counts | lost_and_doubled(accepted, verdicts)


def lost_and_doubled(accepted: list[str], verdicts: Counter[str]) -> dict[str, int]:
    numbers = [verdicts[ts] for ts in accepted]
    return {"lost": numbers.count(0), "doubled": sum(number > 1 for number in numbers)}


def measure(bot: LocalBot, rates: list[float], seconds: float, jobs: int) -> dict[str, Any]:
    """Run all three measurements and print each as it ends."""
    load = Load(bot)
    bot.worker.stop()
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, median of {ROUNDS} rounds")
    rows = [load.acknowledgements(rate, seconds) for rate in rates]
    print("offered/s   held/s   p50 ms   p95 ms   p99 ms   errors")
    for row in rows:
        print(
            f"{row.offered:9.0f} {row.held:8.1f} {row.p50:8.1f} {row.p95:8.1f} {row.p99:8.1f} {row.errors:8d}",
            flush=True,
        )
    rate = load.jobs_a_second(jobs)
    print(f"one worker ends {rate:.1f} jobs a second ({jobs} jobs)", flush=True)
    spike = load.overload(OVERLOAD * rate, seconds)
    print(
        f"ten times as many: {spike['requests']} requests at {spike['offered']:.0f} a second, {spike['accepted']} "
        f"acknowledged (p50 {spike['p50']} ms, p99 {spike['p99']} ms), the last verdict after "
        f"{spike['drained_after_seconds']} s; {spike['lost']} without a verdict, {spike['doubled']} with two"
    )
    return {"acknowledgements": [asdict(row) for row in rows], "jobs_a_second": round(rate, 1), "overload": spike}


def main(
    rates: Annotated[list[float], typer.Option(help="Requests a second; repeat for more.")] = [10, 25, 50, 100, 200],  # noqa: B006 - typer's default
    seconds: Annotated[float, typer.Option(help="The length of each round.")] = 5,
    jobs: Annotated[int, typer.Option(help="Jobs for one worker.")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write the figures for programs.")] = None,
) -> None:
    """Measure the load that receiver and worker handle on this machine."""
    try:
        with LocalBot(Workspace()) as bot:
            figures = measure(bot, rates, seconds, jobs)
    except BotError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    if json_file:
        json_file.write_text(json.dumps(figures, indent=1) + "\n")
    spike = figures["overload"]
    raise typer.Exit(int(not spike["accepted"] or spike["lost"] > 0 or spike["doubled"] > 0))


if __name__ == "__main__":
    typer.run(main)
