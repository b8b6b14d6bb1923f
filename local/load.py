"""`make load`: measure acknowledgements at rising rates, and the throughput of one worker under overload.

`WATCHED=2000` measures messages in watched channels instead of reactions. Everything shares this machine: the receiver,
one worker, and in this process the embedded queue and table and the local Slack, which take most of the time. The exit
status is 1 if an acknowledged message gets no answer, or two.

Requests are sent at a constant rate. Latency is measured from the time at which a request was due, so it includes the
wait for a free sender. Otherwise the slowest moments would be measured least ("coordinated omission").
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import Annotated, Any, NamedTuple

import typer

from local.bot import LocalBot, verdicts
from local.events import deliver, encoded, event_callback, message_event, signed
from local.situations import EMOJI, FINE, TOXIC
from local.workspace import Workspace
from toxicity_bot.message_events import DELAY_SECONDS
from toxicity_bot.slack_messages import CARD, EVENT_TYPE

SENDERS = 32
CHANNELS, WATCHED_CHANNELS = 100, 10  # the local Slack reads a whole channel to find one message
ONE_TOXIC_IN = 50  # in watched channels, one message in 50 is toxic, which is more than in a workplace
OFFERED = 50.0  # requests a second, more than one worker can handle
MAX_DRAIN_SECONDS = 1800.0
PAUSE = 0.5  # seconds between checks of the queue, which slow the queue down


class Request(NamedTuple):
    """When a request was due and when it was answered, in seconds from the start. `status` 0 means no answer."""

    due: float
    ended: float
    status: int


def latencies(rate: float, requests: list[Request]) -> dict[str, float]:
    """Return the latencies in milliseconds and the achieved rate in requests a second."""
    times = [1000 * (request.ended - request.due) for request in requests]
    percentiles = statistics.quantiles(times, n=100, method="inclusive")
    acknowledged = sum(request.status == 200 for request in requests)
    held = acknowledged / max(max(request.ended for request in requests), len(requests) / rate)
    shown = {f"p{number}": round(percentiles[number - 1], 1) for number in (50, 95, 99)}
    return {"offered": rate, "held": round(held, 1), **shown, "errors": len(requests) - acknowledged}


def offer(url: str, secret: str, bodies: list[bytes], rate: float) -> list[Request]:
    """Send the bodies at a constant rate. Return the requests in the same order."""
    started = time.perf_counter() + 0.2  # leaves the threads time to start

    def send(number: int) -> Request:
        due, body = number / rate, bodies[number]
        time.sleep(max(0, started + due - time.perf_counter()))
        delivery = deliver(url, body, signed(body, secret, int(time.time())))
        return Request(due, time.perf_counter() - started, delivery.status)

    with ThreadPoolExecutor(SENDERS) as threads:
        return [*threads.map(send, range(len(bodies)))]


class Load:
    """A local bot under load from reactions, or from messages in watched channels."""

    def __init__(self, bot: LocalBot, *, watched: bool) -> None:
        self.bot, self.workspace, self._watched = bot, bot.workspace, watched
        members = {self.workspace.add_user("ada"), self.workspace.add_user("grace"), bot.workspace.identity.bot_user_id}
        names = [f"channel{number}" for number in range(WATCHED_CHANNELS if watched else CHANNELS)]
        self.channels = [self.workspace.add_channel(name, members=members) for name in names]
        moderators = self.workspace.add_channel("moderators", members=members)
        entries = {channel: {"watch": True} for channel in self.channels if watched}
        self.environ = {"CHANNEL_SETTINGS": json.dumps(entries), "MODERATORS_CHANNEL": moderators}
        self._written = 0

    def write(self, number: int) -> tuple[list[bytes], list[str]]:
        """Write messages, and react to them unless their channels are watched.

        Return the bodies of the events. For each, also return the ts of its message, or an empty string if the message
        must not get an answer: in watched channels only toxic messages get one.
        """
        bodies, due = [], []
        for _ in range(number):
            self._written += 1
            toxic = self._written % (ONE_TOXIC_IN if self._watched else 3) == 0
            channel = self.channels[self._written % len(self.channels)]
            # Each text is different, since the worker caches scores.
            text = f"{TOXIC[0] if toxic else FINE[self._written % 2]} That is number {self._written}."
            message = self.workspace.post(channel, "U0ADA", text)
            if self._watched:
                event = message_event(channel, message)
            else:
                event = self.workspace.react(channel, message["ts"], "U0GRACE", EMOJI)
            bodies.append(encoded(event_callback(event, self.workspace.identity)))
            due.append(message["ts"] if toxic or not self._watched else "")
        return bodies, due

    def _offer(self, bodies: list[bytes], rate: float) -> list[Request]:
        """Send from a separate process, so that this one does not slow it down."""
        with get_context("spawn").Pool(1) as process:
            return process.apply(offer, (self.bot.request_url, self.workspace.signing_secret, bodies, rate))

    def acknowledgements(self, rate: float, seconds: float) -> dict[str, float]:
        """Measure acknowledgements at one rate while the worker is stopped."""
        bodies, _ = self.write(1)
        result = latencies(rate, self._offer(bodies * max(2, round(rate * seconds)), rate))
        self.bot.aws.clear()
        self.bot.aws.create()
        return result

    def jobs(self, number: int) -> dict[str, float]:
        """Send jobs faster than the worker handles them, wait until the queue is empty, and count the answers."""
        bodies, due = self.write(number)
        started, before = time.monotonic(), self.bot.worker.processor_seconds()
        requests = self._offer(bodies, OFFERED)
        accepted = [ts for ts, request in zip(due, requests, strict=True) if request.status == 200]
        delay = DELAY_SECONDS if self._watched else 0
        time.sleep(delay)  # delayed jobs do not count as waiting
        self.bot.wait_until_idle(MAX_DRAIN_SECONDS, PAUSE)
        seconds, processor = time.monotonic() - started - delay, self.bot.worker.processor_seconds() - before
        posts = verdicts(self.workspace, CARD if self._watched else EVENT_TYPE)
        answers = [len(posts[ts]) for ts in filter(None, accepted)]
        return latencies(OFFERED, requests) | {
            "jobs_a_second": round(len(accepted) / seconds, 1),
            "milliseconds": round(1000 * processor / number, 1),
            "reads": sum(len(self.bot.slack.calls_of(f"conversations.{name}")) for name in ("history", "replies")),
            "lost": answers.count(0),
            "doubled": sum(one > 1 for one in answers),
        }


def measure(load: Load, rates: list[float], seconds: float, jobs: int) -> dict[str, Any]:
    """Run both measurements, and print each result when it is known."""
    load.bot.worker.stop()
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores")
    print("offered/s   held/s   p50 ms   p95 ms   p99 ms   errors")
    rows = []
    for rate in rates:
        rows.append(row := load.acknowledgements(rate, seconds))
        print("{offered:9.0f} {held:8.1f} {p50:8.1f} {p95:8.1f} {p99:8.1f} {errors:8.0f}".format(**row), flush=True)
    load.bot.restart_worker()
    worker = load.jobs(jobs)
    print(
        f"{jobs} jobs at {OFFERED:.0f} a second: p50 {worker['p50']} ms, p99 {worker['p99']} ms, "
        f"{worker['errors']} errors\n"
        f"one worker handles {worker['jobs_a_second']} jobs a second, with {worker['milliseconds']} ms of CPU time and "
        f"{worker['reads'] / jobs:.2f} reads per job; {worker['lost']} without an answer, {worker['doubled']} with two"
    )
    return {"acknowledgements": rows, "worker": worker}


def main(
    rates: Annotated[list[float], typer.Option(help="Requests a second. Can be repeated.")] = [10, 25, 50, 100, 200],  # noqa: B006 - typer's default
    seconds: Annotated[float, typer.Option(help="Duration of the measurement at each rate.")] = 5,
    jobs: Annotated[int, typer.Option(help="Jobs for one worker.", min=2)] = 1000,
    watched: Annotated[
        int | None, typer.Option(help="Measure this many messages in watched channels instead.", min=2)
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the results to this JSON file.")] = None,
) -> None:
    """Measure how much load the receiver and the worker can handle on this machine."""
    bot = LocalBot(Workspace())
    load = Load(bot, watched=watched is not None)
    os.environ.update(load.environ)
    with bot:
        figures = measure(load, rates, seconds, watched or jobs)
    if json_file:
        json_file.write_text(json.dumps(figures, indent=1) + "\n")
    worker = figures["worker"]
    raise typer.Exit(int(not worker["jobs_a_second"] or worker["lost"] > 0 or worker["doubled"] > 0))


if __name__ == "__main__":
    typer.run(main)
