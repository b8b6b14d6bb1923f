"""The scores of two CPUs come in, how far apart they are comes out; pure arithmetic, no CPU is known here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of toxicity, on one message. Rounding differs in the last digits, and 8-bit steps make thousandths of them.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Comparison:
    """Differences of toxicity, and verdicts that changed: near the threshold, where either may be right, or not."""

    messages: int
    largest: float
    mean: float
    near_threshold: int
    flips_near: int
    flips_elsewhere: int


def compare(native: Sequence[float], other: Sequence[float], threshold: float) -> Comparison:
    """Near is within TOLERANCE of the threshold, by the native score."""
    here, there = np.array(native), np.array(other)
    differences = np.abs(here - there)  # one that is no number makes the largest none as well
    near = np.abs(here - threshold) <= TOLERANCE
    flips = (here >= threshold) != (there >= threshold)
    return Comparison(
        messages=len(here),
        largest=float(differences.max()),
        mean=float(differences.mean()),
        near_threshold=int(near.sum()),
        flips_near=int((flips & near).sum()),
        flips_elsewhere=int((flips & ~near).sum()),
    )


def check(name: str, comparison: Comparison) -> None:
    """Raises ModelBuildError if the model is another one there."""
    if not comparison.largest <= TOLERANCE:
        raise ModelBuildError(
            f"{name}: a message scores {comparison.largest:.4f} apart from this CPU, more than {TOLERANCE}: "
            "do not serve this model there"
        )
    if comparison.flips_elsewhere:
        raise ModelBuildError(
            f"{name}: {comparison.flips_elsewhere} verdicts differ from this CPU's, further than {TOLERANCE} from the "
            "threshold: do not serve this model there"
        )
