"""A case and dice -> another case: changed where JSON can be changed, so that what comes out is still a request.

Values move, vanish, change their type and grow; strings are also given to the fuzzer's own mutations of bytes, which
know what the receiver has compared them with.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from local.fuzz.cases import KNOWN, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    MutateBytes = Callable[[bytes], bytes]

MOST_CHANGES = 4
RAW = 0.1  # share of the mutations that leave the form of a case
# What breaks code that has not thought of it. The long number is more than Python converts.
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**12, 2**63, 1e308, float("inf"), float("nan"), "", " ", "0", "-1", "1e9", "9" * 5000,
    "\x00", "\ud800", "\u0130", "\u0661\u0662", "v0=", "v1", "reaction_added", [], {}, [[]], [{}], {"": None},
)  # fmt: skip


def mutated(data: bytes, random: Random, mutate_bytes: MutateBytes) -> bytes:
    """Return another case near this one."""
    if random.random() < RAW:
        return mutate_bytes(data)
    case = parsed(data)
    for _ in range(random.randint(1, MOST_CHANGES)):
        _change(case, random, mutate_bytes)
    return json.dumps(case).encode()


def _change(case: dict[str, Any], random: Random, mutate_bytes: MutateBytes) -> None:
    """Change one place: a field of an object or an item of a list, however deep."""
    places = list(_places(case))
    change = random.choice(["say", "vanish", "nudge", "odd", "move", "respell"])
    if change == "say" or not places:
        case[random.choice(KNOWN)] = random.choice([_odd(random), random.randrange(10**6)])
        return
    holder, key = random.choice(places)
    if change == "vanish":
        del holder[key]
    elif change == "nudge":
        holder[key] = _nudged(holder[key], random, mutate_bytes)
    elif change == "odd":
        holder[key] = _odd(random)
    elif change == "move":
        source, name = random.choice(places)
        holder[key] = copy.deepcopy(source[name])
    elif isinstance(holder, dict):
        holder[random.choice([str.upper, str.lower, str.title])(key)] = holder.pop(key)


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield node, key
        yield from _places(value)


def _nudged(value: Any, random: Random, mutate_bytes: MutateBytes) -> Any:
    if isinstance(value, str):
        return mutate_bytes(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogateescape")
    if isinstance(value, int):
        return value + random.choice([-301, -1, 1, 301, 10**6])
    return _odd(random)


def _odd(random: Random) -> Any:
    return copy.deepcopy(random.choice(ODD))  # the next change may be to what is in it
