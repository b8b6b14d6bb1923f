"""`make load`: acknowledgements at rising rates, jobs a second, and ten times as many reactions as one worker handles.

`WATCHED=2000` measures watched channels instead: messages a second that one worker judges, and four times as many.

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
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from local.bot import BotError, LocalBot, verdicts
from local.events import ANSWER_SECONDS, encoded, event_callback, message_event, signed
from local.situations import EMOJI, FINE, TOXIC
from local.workspace import Workspace
from toxicity_bot.message_events import DELAY_SECONDS
from toxicity_bot.slack_messages import CARD

CHANNELS = 100  # the local Slack reads a whole channel for one message
CONNECTIONS = 32
ROUNDS = 3
QUEUEING_RATE = 25.0  # requests a second that fill the queue
OVERLOAD = 10  # times the rate of one worker
WATCHED_CHANNELS = 10
ONE_TOXIC_IN = 50  # of the messages in watched channels, more than in a workplace
WATCHED_OVERLOAD = 4  # times the rate of one worker; the receiver does not hold ten times on this machine
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


def lost_and_doubled(accepted: list[str], answers: Counter[str]) -> dict[str, int]:
    numbers = [answers[ts] for ts in accepted]
    return {"lost": numbers.count(0), "doubled": sum(number > 1 for number in numbers)}


class Load:
    """A local bot, measured with messages that have one reaction each."""

    def __init__(self, bot: LocalBot) -> None:
        self.bot, self.workspace = bot, bot.workspace
        members = {self.workspace.add_user("ada"), self.workspace.add_user("grace"), bot.workspace.identity.bot_user_id}
        self._channels = [self.workspace.add_channel(f"channel{number}", members=members) for number in range(CHANNELS)]

    def react(self, number: int) -> dict[str, bytes]:
        """Post messages and react to each; return the body of the event by the message's timestamp."""
        bodies = {}
        for turn in range(number):
            channel = self._channels[turn % CHANNELS]
            ts = self.workspace.post(channel, "U0ADA", (FINE[0], TOXIC[0], FINE[1])[turn % 3])["ts"]
            event = self.workspace.react(channel, ts, "U0GRACE", EMOJI)
            bodies[ts] = encoded(event_callback(event, self.workspace.identity))
        return bodies

    def offer(self, bodies: list[bytes], rate: float) -> list[Request]:
        """Send from a process of its own, which waits for nothing but the receiver."""
        with get_context("spawn").Pool(1) as process:
            return process.apply(offer, (self.bot.request_url, self.workspace.signing_secret, bodies, rate))

    def drain(self) -> float:
        """Wait until the queue is empty; return the seconds that it took."""
        started = time.monotonic()
        self.bot.wait_until_idle(LONGEST_DRAIN, PAUSE)
        return time.monotonic() - started

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
            lost = jobs - statuses[200]
            raise BotError(f"{lost} of {jobs} reactions got no job; answers by status: {dict(statuses)}")
        self.bot.restart_worker()
        return jobs / self.drain()

    def overload(self, rate: float, seconds: float) -> dict[str, Any]:
        """Send more than the worker handles, wait until the queue is empty, and count the verdicts."""
        reactions = self.react(round(rate * seconds))
        requests = self.offer([*reactions.values()], rate)
        accepted = [ts for ts, request in zip(reactions, requests, strict=True) if request.status == 200]
        counts = {"requests": len(requests), "accepted": len(accepted), "drained_after_seconds": round(self.drain(), 1)}
        answers = Counter({ts: len(posts) for ts, posts in verdicts(self.workspace).items()})
        return asdict(latencies(rate, requests)) | counts | lost_and_doubled(accepted, answers)


class WatchedLoad(Load):
    """A local bot that watches channels, measured with messages that all differ, since the worker remembers scores."""

    def __init__(self, bot: LocalBot) -> None:
        super().__init__(bot)
        members = {"U0ADA", "U0GRACE", self.workspace.identity.bot_user_id}
        self._watched = [self.workspace.add_channel(name, members=members) for name in _watched_names()]
        self._moderators = self.workspace.add_channel("moderators", members=members)
        self._toxic: list[str] = []
        self._written = 0

    @staticmethod
    def environ() -> dict[str, str]:
        """Return the settings of the bot."""
        entries = {f"C0{name.upper()}": {"watch": True} for name in _watched_names()}
        return {"CHANNEL_SETTINGS": json.dumps(entries), "MODERATORS_CHANNEL": "C0MODERATORS"}

    def write(self, number: int) -> list[bytes]:
        """Write messages; return the bodies of their events."""
        bodies = []
        for _ in range(number):
            self._written += 1
            toxic = self._written % ONE_TOXIC_IN == 0
            channel = self._watched[self._written % len(self._watched)]
            text = f"{TOXIC[0] if toxic else FINE[self._written % 2]} That is number {self._written}."
            message = self.workspace.post(channel, "U0ADA", text)
            if toxic:
                self._toxic.append(message["ts"])
            bodies.append(encoded(event_callback(message_event(channel, message), self.workspace.identity)))
        return bodies

    def messages_a_second(self, messages: int) -> tuple[float, float]:
        """Fill the queue, start the worker and time it; return also its milliseconds of processor time a message."""
        statuses = Counter(request.status for request in self.offer(self.write(messages), QUEUEING_RATE))
        if statuses[200] != messages:
            raise BotError(f"{messages - statuses[200]} of {messages} messages got no job: {dict(statuses)}")
        time.sleep(DELAY_SECONDS)
        self.bot.restart_worker()
        before = self.bot.worker.processor_seconds()
        held = messages / self.drain()
        return held, 1000 * (self.bot.worker.processor_seconds() - before) / messages

    def overload(self, rate: float, seconds: float) -> dict[str, Any]:
        """Write more than the worker judges, wait until the queue is empty, and look for the cards."""
        requests = self.offer(self.write(round(rate * seconds)), rate)
        time.sleep(DELAY_SECONDS)
        drained = self.drain()
        calls = sum(len(self.bot.slack.calls_of(f"conversations.{name}")) for name in ("history", "replies"))
        counts = {"drained_after_seconds": round(DELAY_SECONDS + drained, 1), "messages": self._written, "reads": calls}
        accepted = {"requests": len(requests), "accepted": sum(request.status == 200 for request in requests)}
        posts = self.workspace.conversation(self._moderators)
        marks = [post["metadata"] for post in posts if post.get("metadata", {}).get("event_type") == CARD]
        cards = Counter(mark["event_payload"]["key"].split("/")[2] for mark in marks)
        return asdict(latencies(rate, requests)) | accepted | counts | lost_and_doubled(self._toxic, cards)


def _watched_names() -> list[str]:
    return [f"watched{number}" for number in range(WATCHED_CHANNELS)]


def measure_watching(bot: LocalBot, messages: int, seconds: float) -> dict[str, Any]:
    """Measure watched channels and print the figures."""
    load = WatchedLoad(bot)
    bot.worker.stop()
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores")
    held, milliseconds = load.messages_a_second(messages)
    print(
        f"one worker watches {held:.1f} messages a second ({messages} in {WATCHED_CHANNELS} channels), "
        f"with {milliseconds:.1f} ms of processor time for each",
        flush=True,
    )
    spike = load.overload(WATCHED_OVERLOAD * held, seconds)
    print(
        f"{WATCHED_OVERLOAD} times as many: {spike['requests']} messages at {spike['offered']:.0f} a second, "
        f"{spike['accepted']} acknowledged (p50 {spike['p50']} ms, p99 {spike['p99']} ms), the last one judged after "
        f"{spike['drained_after_seconds']} s; {spike['messages']} messages in {spike['reads']} reads; "
        f"{spike['lost']} toxic ones without a card, {spike['doubled']} with two"
    )
    return {"messages_a_second": round(held, 1), "milliseconds": round(milliseconds, 1), "overload": spike}


def measure(bot: LocalBot, rates: list[float], seconds: float, jobs: int) -> dict[str, Any]:
    """Run all three measurements and print each as it ends."""
    load = Load(bot)
    bot.worker.stop()
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, median of {ROUNDS} rounds")
    print("offered/s   held/s   p50 ms   p95 ms   p99 ms   errors")
    rows = []
    for rate in rates:
        rows.append(row := load.acknowledgements(rate, seconds))
        times = f"{row.p50:8.1f} {row.p95:8.1f} {row.p99:8.1f}"
        print(f"{row.offered:9.0f} {row.held:8.1f} {times} {row.errors:8d}", flush=True)
    held = load.jobs_a_second(jobs)
    print(f"one worker ends {held:.1f} jobs a second ({jobs} jobs)", flush=True)
    spike = load.overload(OVERLOAD * held, seconds)
    print(
        f"ten times as many: {spike['requests']} requests at {spike['offered']:.0f} a second, {spike['accepted']} "
        f"acknowledged (p50 {spike['p50']} ms, p99 {spike['p99']} ms), the last verdict after "
        f"{spike['drained_after_seconds']} s; {spike['lost']} without a verdict, {spike['doubled']} with two"
    )
    return {"acknowledgements": [asdict(row) for row in rows], "jobs_a_second": round(held, 1), "overload": spike}


def main(
    rates: Annotated[list[float], typer.Option(help="Requests a second; repeat for more.")] = [10, 25, 50, 100, 200],  # noqa: B006 - typer's default
    seconds: Annotated[float, typer.Option(help="The length of each round.")] = 5,
    jobs: Annotated[int, typer.Option(help="Jobs for one worker.")] = 1000,
    watched: Annotated[int, typer.Option(help="Messages in watched channels, measured instead.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write the figures for programs.")] = None,
) -> None:
    """Measure the load that receiver and worker handle on this machine."""
    os.environ.update(WatchedLoad.environ() if watched else {})
    with LocalBot(Workspace()) as bot:
        figures = measure_watching(bot, watched, seconds) if watched else measure(bot, rates, seconds, jobs)
    if json_file:
        json_file.write_text(json.dumps(figures, indent=1) + "\n")
    spike = figures["overload"]
    raise typer.Exit(int(not spike["accepted"] or spike["lost"] > 0 or spike["doubled"] > 0))


if __name__ == "__main__":
    typer.run(main)
