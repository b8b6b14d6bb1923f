"""The command line of the soak: exits with 1 if a message does not have exactly the verdicts that it should have.

Signed HTTP requests, receiver, SQS, two worker processes, slack_sdk and DynamoDB run as in an account, with time
compressed (see `local.soak.worker`). A seed always gives the same plan; the order in which processes and threads carry
it out differs.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from local.bot import BotError
from local.soak.checks import Problem, attempts
from local.soak.plan import Size
from local.soak.soak import Soak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.soak.checks import Results

MOST_PROBLEMS = 10  # shown
USUAL = Size()


def report(soak: Soak, results: Results, seconds: float) -> Iterator[str]:
    """Yield the lines of the report."""
    users = soak.users
    reactions = sum(len(written.reactions) for written in users.messages.values())
    yield f"seed {soak.seed}: {reactions} reactions to {len(users.messages)} messages, {seconds:.0f} s"
    for name, counts in {
        "requests": soak.sender.statuses,
        "attempts at jobs": attempts(soak.logs),
        "worker deaths": sum((worker.ends for worker in soak.workers), Counter[str]()),
        "faults": sum((worker.faults.counts for worker in soak.workers), Counter[str]()),
        "changes": Counter({"edits": users.edits, "deletions": users.deletions}),
        "verdicts": results.outcomes,
        "poisoned jobs": Counter({"sent": soak.size.poisoned}),
    }.items():
        kinds = ", ".join(f"{kind} {number}" for kind, number in counts.most_common()) or "none"
        yield f"  {name:<18}{counts.total()}: {kinds}"
    yield "  " + ", ".join(f"{problem} {results.counts[problem]}" for problem in get_args(Problem))
    yield from (f"  {problem}" for problem in results.problems[:MOST_PROBLEMS])


def run(seed: int, size: Size) -> bool:
    """Run one soak and print its report; return whether every check passed."""
    started = time.monotonic()

    def progress(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    try:
        with Soak(seed, size) as soak:
            results = soak.run(progress)
            print("\n".join(report(soak, results, time.monotonic() - started)), flush=True)
    except BotError as error:
        print(error, file=sys.stderr)
        return False
    return not results.problems


def main(
    seed: Annotated[int | None, typer.Option(help="Chooses the plan; by default the time.")] = None,
    deliveries: int = USUAL.deliveries,
    reactions: int = USUAL.reactions,
    poisoned: Annotated[int, typer.Option(help="Jobs that cannot be read.")] = USUAL.poisoned,
    minutes: Annotated[float, typer.Option(help="Repeat with the next seed for so long.")] = 0,
) -> None:
    """Run the bot while everything fails at random; exit with 1 if a message has a wrong number of verdicts."""
    ends = time.monotonic() + 60 * minutes
    size = Size(deliveries, reactions, poisoned)
    seed = int(time.time()) if seed is None else seed
    while True:
        if not run(seed, size):
            options = f"--deliveries {deliveries} --reactions {reactions} --poisoned {poisoned}"
            print(f"To see it again: python -m local.soak --seed {seed} {options}", file=sys.stderr)
            raise typer.Exit(1)
        seed += 1
        if time.monotonic() >= ends:
            return


if __name__ == "__main__":
    typer.run(main)
