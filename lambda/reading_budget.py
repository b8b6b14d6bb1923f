"""Decide what is read of a text that is too long to be read whole: the beginning, the end, and parts spread between.

Knows nothing of models or of Slack.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of more characters only parts are folded: it takes a second or two, and no budget reads the windows of more.
MOST_CHARACTERS = 60_000
PART = 3_000  # characters of each part; a divisor of the above
LONGEST_WORD = 100  # characters; a longer one is cut in two

# Seconds until the last window is begun. The words that weighed most take one or two more, of ten in all.
SECONDS = 5.0
# Tokens that are read whatever the time: most messages have fewer, so their scores never depend on the processor.
TOKENS_ALWAYS_READ = 2_048

_GAP = " \u2026 "


def excerpt(text: str) -> str:
    """Return the text, or at most `MOST_CHARACTERS` of it: whole words of parts at even distances."""
    if len(text) <= MOST_CHARACTERS:
        return text
    last = MOST_CHARACTERS // PART - 1
    starts = [place * (len(text) - PART) // last for place in range(last + 1)]
    parts = [text[start : start + PART] for start in starts]
    return _GAP.join([_end(parts[0]), *(_begin(_end(part)) for part in parts[1:-1]), _begin(parts[-1])])


def spread(number: int) -> Iterator[int]:
    """Yield the places 0 to `number` - 1 so that any first few are spread evenly: both ends, then middles of gaps."""
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
    """Drop the rest of a word at the beginning."""
    head = part[:LONGEST_WORD].split(maxsplit=1)
    return part[len(head[0]) :].lstrip() if len(head) > 1 and not part[0].isspace() else part


def _end(part: str) -> str:
    """Drop the begun word at the end."""
    tail = part[-LONGEST_WORD:].rsplit(maxsplit=1)
    return part[: -len(tail[-1])].rstrip() if len(tail) > 1 and not part[-1].isspace() else part
