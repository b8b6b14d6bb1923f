"""Plan a soak from a seed: what users do, what Slack delivers, and which workers are killed, in order.

The deliveries of one reaction are spread out and overtake each other, as Slack's retries do. Faults between the bot and
Slack are not planned: they happen at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

Act = Literal["deliver", "lose_ack", "forge", "edit", "delete", "kill", "poison"]

REACTIONS_PER_MESSAGE = 1.7
MOST_REACTORS = 12  # to one message
EDITED, DELETED, FORGED = 0.08, 0.05, 0.04  # shares of the messages
ACKS_LOST = 0.02  # share of the deliveries
DELIVERIES_PER_KILL = 100


@dataclass(frozen=True)
class Size:
    """The size of a soak; `poisoned` jobs cannot be read. The defaults take a few minutes on two cores."""

    deliveries: int = 2_000
    reactions: int = 400
    poisoned: int = 6

    def __post_init__(self) -> None:
        if not 0 < self.reactions <= self.deliveries:
            raise ValueError(f"{self.deliveries} deliveries of {self.reactions} reactions: each needs at least one")

    @property
    def messages(self) -> int:
        return max(1, round(self.reactions / REACTIONS_PER_MESSAGE))


@dataclass(frozen=True)
class Step:
    """One action; `number` is that of its message, worker or poisoned job."""

    act: Act
    number: int = 0
    reactor: int = 0


def steps(seed: int, size: Size) -> list[Step]:
    """Return all steps in order, the same ones for the same seed."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    begun = [random.random() for _ in range(size.messages)]
    forged = {message for message in range(size.messages) if random.random() < FORGED}
    reactions = _reactions(random, size)
    timed: list[tuple[float, Step]] = []
    for number in range(size.deliveries):
        message, reactor = reactions[number] if number < len(reactions) else random.choice(reactions)
        act: Act = "lose_ack" if random.random() < ACKS_LOST else "deliver"
        late = random.expovariate(100) + random.expovariate(50)
        timed.append((begun[message] + late, Step("forge" if message in forged else act, message, reactor)))
    for message, since in enumerate(begun):
        for act, share in (("edit", EDITED), ("delete", DELETED)):
            if random.random() < share:
                timed.append((since + random.expovariate(50), Step(act, message)))
    kills = 1 + size.deliveries // DELIVERIES_PER_KILL
    timed += [(random.random(), Step("kill", random.randrange(kills))) for _ in range(kills)]
    timed += [(random.random() / 4, Step("poison", number)) for number in range(size.poisoned)]
    return [step for _, step in sorted(timed, key=lambda one: one[0])]


def _reactions(random: Random, size: Size) -> list[tuple[int, int]]:
    """Return one reaction for each message, and the others at random."""
    count = [1] * size.messages
    while sum(count) < size.reactions:
        message = random.randrange(size.messages)
        count[message] += count[message] < MOST_REACTORS
    return [(message, reactor) for message, reactors in enumerate(count) for reactor in range(reactors)]
