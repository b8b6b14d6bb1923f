"""What goes wrong between a worker and Slack, by dice: each call of the Web API may meet one fault.

Unlike the faults on a script, these come at the same rate to every method, and never end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from local.faults import DROPPED, ErrorBody, Fault, Faults, HtmlError, RateLimited, Reset, ResetEarly, Slow

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from local.faults import Reply


@dataclass(frozen=True)
class Killed(Fault):
    """The caller dies while it waits; the work is done `seconds` later, or never."""

    kill: Callable[[], object]
    seconds: float | None

    def before(self, closing: threading.Event) -> Reply | None:
        self.kill()
        if self.seconds is None:
            return DROPPED
        closing.wait(self.seconds)
        return None

    def after(self, _reply: Reply) -> Reply:
        return DROPPED


class Weather(Faults):
    """The faults of one worker's calls; `patience` is for how many seconds the worker waits for an answer."""

    def __init__(self, seed: str, kill: Callable[[], object], patience: float) -> None:
        super().__init__()
        self.met: Counter[str] = Counter()
        self._random = Random(seed)  # noqa: S311 - a test's dice
        # What, how many in a thousand calls, and the fault. A tenth of all calls goes wrong.
        self._kinds: list[tuple[str, float, Callable[[], Fault]]] = [
            ("429", 25, lambda: RateLimited("1")),
            ("502 page", 15, lambda: HtmlError(502)),
            ("fatal_error", 5, ErrorBody),
            ("reset before the work", 10, lambda: Reset(before_work=True)),
            ("reset after the work", 15, lambda: Reset(before_work=False)),
            ("reset, then the work done", 5, lambda: ResetEarly(patience * self._random.uniform(0.1, 1))),
            ("slow", 15, lambda: Slow(self._random.uniform(0, patience / 2))),
            ("work done after the time-out", 5, lambda: Slow(patience * self._random.uniform(1.05, 2))),
            ("killed before the work", 2.5, lambda: Killed(kill, None)),
            ("killed, then the work done", 2.5, lambda: Killed(kill, patience * self._random.uniform(0, 1))),
        ]

    def take(self, method: str) -> Fault:
        """The fault for this call, whatever its method."""
        with self._lock:
            drawn = self._random.uniform(0, 1000)
            for what, share, fault in self._kinds:
                if drawn < share:
                    self.met[what] += 1
                    return fault()
                drawn -= share
        return super().take(method)
