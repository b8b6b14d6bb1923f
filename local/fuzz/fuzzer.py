"""The process that fuzzes: atheris calls the target with one case after the other, until time is up or one is wrong.

`python -m local.fuzz` starts it, with the receiver's variables in the environment and libFuzzer's own options.
"""

from __future__ import annotations

import importlib
import sys
from random import Random

import atheris

from local.fuzz.mutations import mutated
from local.fuzz.target import Target

# What is watched: the modules of the bot that decide about a request.
WATCHED = tuple(
    f"toxicity_bot.{module}" for module in ("receiver", "slack_request", "reactions", "jobs", "credentials", "settings")
)


def mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
    """Return another case near this one; libFuzzer gives the seed."""
    random = Random(seed)  # noqa: S311 - a test's dice
    return mutated(data, random, lambda raw: atheris.Mutate(raw, len(raw) + 64))[:most_bytes]


def main() -> None:
    """Fuzz the module named first; what follows are libFuzzer's arguments. Does not return."""
    module, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=[*WATCHED, module]):
        target = Target(importlib.import_module(module))
    atheris.Setup([sys.argv[0], *arguments], target, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
