"""Learning-rate schedules by name: how far a run has come, 0 to 1, gives the share of the highest rate.

`one-cycle` is Smith and Topin's (https://arxiv.org/abs/1708.07120), `triangular` Smith's cyclical one
(https://arxiv.org/abs/1506.01186) with a single cycle, `step` falls tenfold twice, `linear` warms up and falls to
nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.optim import Optimizer

WARM_UP = 0.06  # of all steps, for those that warm up and then only fall
ONE_CYCLE_RISE = 0.3  # PyTorch's OneCycleLR has the same
FIRST_SHARE, LAST_SHARE = 1 / 25, 1e-4
STEPS = (0.5, 0.8)  # where `step` falls


def linear(done: float) -> float:
    """Rise for the warm-up, then fall to nothing."""
    return _risen(done) * min(1.0, (1 - done) / (1 - WARM_UP))


def one_cycle(done: float) -> float:
    """Rise along a cosine from a 25th for 30 % of the run, then fall along one to a ten-thousandth."""
    if done < ONE_CYCLE_RISE:
        return _cosine(FIRST_SHARE, 1.0, done / ONE_CYCLE_RISE)
    return _cosine(1.0, LAST_SHARE, (done - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))


def triangular(done: float) -> float:
    """Rise in a straight line to the middle of the run and fall likewise, from and to a 25th."""
    return FIRST_SHARE + (1 - FIRST_SHARE) * (1 - abs(2 * done - 1))


def step(done: float) -> float:
    """Warm up, then a tenth of the rate from half of the run and a hundredth from four fifths."""
    return _risen(done) * 0.1 ** sum(done >= place for place in STEPS)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": linear,
    "one-cycle": one_cycle,
    "triangular": triangular,
    "step": step,
}


def scheduler(name: str, optimizer: Optimizer, steps: int) -> LambdaLR:
    """Return the schedule over so many optimizer steps; raises KeyError for a name that is not in SCHEDULES."""
    share = SCHEDULES[name]
    return LambdaLR(optimizer, lambda done: share(min(done / max(steps, 1), 1.0)))


def _risen(done: float) -> float:
    return min(1.0, done / WARM_UP)


def _cosine(first: float, last: float, done: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * done)) / 2
