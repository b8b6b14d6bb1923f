"""What the processes of a soak wrote: how tries ended, what was raised, and what must stand in no log.

A process that is killed may leave half a line.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_TRACEBACK = re.compile(r"Traceback \(most recent call last\):(?:\n[ \t].*)*\n?([\w.]*)")


def tries(logs: Path) -> Counter[str]:
    """Count how the workers say that their tries ended: the metrics in what they wrote."""
    ended: Counter[str] = Counter()
    for log in logs.glob("worker*.log"):
        for line in log.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # a worker was killed while it wrote
            for name in ("JobEnded", "JobPostponed", "JobFailed"):
                ended[f"{name.removeprefix('Job').lower()} {entry.get('reason')}"] += name in entry
    return +ended


def tracebacks(logs: Path) -> Iterator[str]:
    """Yield where something was raised that nobody caught, and its class."""
    for log in sorted(logs.glob("*.log")):
        for error in _TRACEBACK.findall(log.read_text(errors="replace")):
            yield f"{log.name}: {error}"


def leaks(logs: Path, confidential: Iterable[str]) -> Iterator[str]:
    """Yield which of the confidential strings stands in which log."""
    for log in sorted(logs.glob("*.log")):
        text = log.read_text(errors="replace")
        yield from (f"{log.name}: {string}" for string in confidential if string in text)
