"""`make load`: acknowledgements at rising rates, jobs a second, and ten times more reactions than one worker holds.

Everything runs on this machine: the receiver behind the local gateway, one worker, and, in this process, the embedded
queue and table and the local Slack, which take most of the time. In an account each of them has machines of its own.
Exits with 1 if a reaction that was acknowledged has no verdict in the end, or two, or if none was acknowledged.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.bot import BotError, LocalBot
from local.load.crowd import Crowd, Reaction, lost_and_doubled
from local.load.offered import Client, Figures, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUNDS = 3
FILLING = 25.0  # requests a second with which the queue is filled for the worker
OVERLOAD = 10  # times the rate that the worker holds
LONGEST_DRAIN = 1800.0  # seconds
PAUSE = 0.5  # between two looks at the queue, which cost the queue time


def acknowledgements(bot: LocalBot, crowd: Crowd, client: Client, rate: float, seconds: float) -> Figures:
    """Measure one rate with the worker away; the jobs, all alike, are thrown away."""
    rounds = []
    (reaction,) = crowd.react(1)
    for _ in range(ROUNDS):
        rounds.append(Figures.of(rate, client.offer([reaction.body] * max(2, round(rate * seconds)), rate)))
        bot.aws.clear()
        bot.aws.create()
    return Figures.median(rounds)


def drained(bot: LocalBot, crowd: Crowd, client: Client, jobs: int) -> float:
    """Return how many jobs one worker ends in a second, all waiting when it begins; BotError if some were refused."""
    requests = client.offer([reaction.body for reaction in crowd.react(jobs)], FILLING)
    if refused := Counter(request.status for request in requests if request.status != 200):
        raise BotError(f"{refused.total()} of {jobs} reactions got no job; how often each status came: {dict(refused)}")
    bot.restart_worker()
    started = time.monotonic()
    bot.wait_until_idle(LONGEST_DRAIN, PAUSE)
    return jobs / (time.monotonic() - started)


def overload(bot: LocalBot, crowd: Crowd, client: Client, rate: float, seconds: float) -> dict[str, Any]:
    """Offer more than the worker holds, wait until all has ended, and count the verdicts."""
    reactions = crowd.react(round(rate * seconds))
    requests: list[Request] = client.offer([reaction.body for reaction in reactions], rate)
    accepted: list[Reaction] = [reactions[request.number] for request in requests if request.status == 200]
    started = time.monotonic()
    bot.wait_until_idle(LONGEST_DRAIN, PAUSE)
    lost, doubled = lost_and_doubled(accepted, crowd.verdicts())
    return {
        **asdict(Figures.of(rate, requests)),
        "requests": len(requests),
        "accepted": len(accepted),
        "drained_after_seconds": round(time.monotonic() - started, 1),
        "lost": lost,
        "doubled": doubled,
    }


def all_judged(spike: Mapping[str, Any]) -> bool:
    """Whether each reaction that was acknowledged has one verdict, and there were any."""
    return bool(spike["accepted"]) and not spike["lost"] and not spike["doubled"]


def table(rows: list[Figures]) -> str:
    """Return the rates as people read them."""
    lines = ["offered/s   held/s   p50 ms   p95 ms   p99 ms   errors"]
    lines += [
        f"{row.offered:9.0f} {row.held:8.1f} {row.p50:8.1f} {row.p95:8.1f} {row.p99:8.1f} {row.errors:8d}"
        for row in rows
    ]
    lines += [f"at {row.offered:.0f}/s, {row.errors} requests were not acknowledged" for row in rows if row.errors]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.load", description=__doc__)
    parser.add_argument("--rates", type=float, nargs="+", default=[10, 25, 50, 100, 200], help="requests a second")
    parser.add_argument("--seconds", type=float, default=5, help="of each round")
    parser.add_argument("--jobs", type=int, default=1000, help="to drain")
    parser.add_argument("--json", type=Path, help="where to write the figures, for programs")
    given = parser.parse_args()
    crowd = Crowd()
    try:
        with LocalBot(crowd.workspace) as bot:
            bot.worker.stop()
            client = Client(bot.request_url, crowd.workspace.signing_secret)
            print(
                f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, median of {ROUNDS} rounds"
            )
            rows = [acknowledgements(bot, crowd, client, rate, given.seconds) for rate in given.rates]
            print(table(rows), flush=True)
            jobs_a_second = drained(bot, crowd, client, given.jobs)
            print(f"one worker ends {jobs_a_second:.1f} jobs a second ({given.jobs} jobs)", flush=True)
            spike = overload(bot, crowd, client, OVERLOAD * jobs_a_second, given.seconds)
    except BotError as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"ten times as many: {spike['requests']} requests at {spike['offered']:.0f} a second, {spike['accepted']} "
        f"acknowledged (p50 {spike['p50']} ms, p99 {spike['p99']} ms), all judged {spike['drained_after_seconds']} s "
        f"after the last; lost {spike['lost']}, judged twice {spike['doubled']}"
    )
    if given.json:
        figures = {"acknowledgements": [asdict(row) for row in rows], "jobs_a_second": round(jobs_a_second, 1)}
        given.json.write_text(json.dumps(figures | {"overload": spike}, indent=1) + "\n")
    return 0 if all_judged(spike) else 1


if __name__ == "__main__":
    sys.exit(main())
