"""`make soak`: exactly one verdict, whatever fails. Exits with 1 if any message has another number of them.

The whole bot runs as it would in an account: signed HTTP requests, receiver, SQS, two worker processes, slack_sdk,
DynamoDB. Time is compressed, see `local.soak.worker`. The plan of a seed is always the same, the order in which
processes and threads then get to it is not.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

from local.bot import BotError
from local.soak.plan import Size
from local.soak.report import lines
from local.soak.soak import Soak


def soaked(seed: int, size: Size) -> bool:
    """Run one soak and print its report; whether every message is as it should be."""
    started = time.monotonic()
    with Soak(seed, size) as soak:
        found = soak.run(partial(_progress, started))
        print("\n".join(lines(soak, found, time.monotonic() - started)), flush=True)
    return not found.offenders


def _progress(started: float, what: str) -> None:
    print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)


def main() -> int:
    usual = Size()
    parser = argparse.ArgumentParser(prog="python -m local.soak", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="another plan for each; default: the clock's"
    )
    parser.add_argument("--deliveries", type=int, default=usual.deliveries)
    parser.add_argument("--reactions", type=int, default=usual.reactions)
    parser.add_argument("--poisoned", type=int, default=usual.poisoned)
    parser.add_argument("--minutes", type=float, default=0, help="begin again, with the next seed, until then")
    given = parser.parse_args()
    ends = time.monotonic() + 60 * given.minutes
    seed = given.seed
    while True:
        try:
            good = soaked(seed, Size(given.deliveries, given.reactions, given.poisoned))
        except BotError as error:
            print(error, file=sys.stderr)
            good = False
        if not good:
            print(
                f"To see it again: python -m local.soak --seed {seed} --deliveries {given.deliveries} "
                f"--reactions {given.reactions} --poisoned {given.poisoned}",
                file=sys.stderr,
            )
            return 1
        seed += 1
        if time.monotonic() >= ends:
            return 0


if __name__ == "__main__":
    sys.exit(main())
