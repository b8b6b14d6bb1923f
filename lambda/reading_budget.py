"""Decide which parts of a very long text are read: the beginning, the end, and parts spread evenly between.

This module does not depend on models or on Slack.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Longer texts are sampled before they are folded. Folding more takes seconds, and no time budget would let the model
# read it anyway.
MAX_CHARACTERS = 60_000
PART_CHARACTERS = 3_000  # must divide MAX_CHARACTERS
MAX_WORD_CHARACTERS = 100  # longer words may be cut in two

# No window is started after this many seconds. Finding the words that weighed most takes one or two more. A verdict
# must not take more than ten.
BUDGET_SECONDS = 5.0
# This many tokens are read however long it takes. Most messages have fewer, so their scores never depend on the CPU.
MIN_TOKENS = 2_048

_GAP = " \u2026 "


def excerpt(text: str) -> str:
    """Return the text or, if it is longer than `MAX_CHARACTERS`, evenly spaced parts of it, cut at word boundaries."""
    if len(text) <= MAX_CHARACTERS:
        return text
    last = MAX_CHARACTERS // PART_CHARACTERS - 1
    starts = [place * (len(text) - PART_CHARACTERS) // last for place in range(last + 1)]
    parts = [text[start : start + PART_CHARACTERS] for start in starts]
    return _GAP.join([_end(parts[0]), *(_begin(_end(part)) for part in parts[1:-1]), _begin(parts[-1])])


def spread(number: int) -> Iterator[int]:
    """Yield 0 to `number` - 1 in an order whose first few are spread evenly: both ends, then the middle of each gap."""
    yield 0
    if number > 1:
        yield number - 1
    gaps = deque([(0, number - 1)])
    while gaps:
        low, high = gaps.popleft()
        if high - low > 1:
            middle = (low + high) // 2
            yield middle
            gaps += [(low, middle), (middle, high)]


def _begin(part: str) -> str:
    """Drop a partial word at the beginning."""
    head = part[:MAX_WORD_CHARACTERS].split(maxsplit=1)
    return part[len(head[0]) :].lstrip() if len(head) > 1 and not part[0].isspace() else part


def _end(part: str) -> str:
    """Drop a partial word at the end."""
    tail = part[-MAX_WORD_CHARACTERS:].rsplit(maxsplit=1)
    return part[: -len(tail[-1])].rstrip() if len(tail) > 1 and not part[-1].isspace() else part
