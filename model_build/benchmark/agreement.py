"""Is what is measured still the same function? Logits of PyTorch at full precision come in, and those of a runtime.

A loose bound: it tells a broken runtime from one that rounds, and says nothing of quality.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# As a share of how far the reference's own logits lie apart from text to text. 8-bit numbers cost about 0.1; a runtime
# that answers alike to every text, or to another text, is off by 1.
LARGEST_SHARE = 0.4


class Answering(Protocol):
    """Something with a name that turns token ids into logits."""

    name: str

    def logits(self, ids: Sequence[int]) -> Sequence[float]:
        """Return a number for each label."""


def agreement(runtimes: Iterable[Answering], reference: Answering, texts: Sequence[Sequence[int]]) -> dict[str, float]:
    """Return `check_agreement` of each runtime by its name, over the same texts."""
    expected = [reference.logits(ids) for ids in texts]
    return {
        runtime.name: check_agreement(runtime.name, [runtime.logits(ids) for ids in texts], expected)
        for runtime in runtimes
    }


def check_agreement(name: str, found: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]) -> float:
    """Return the largest difference as a share of the spread; raises ModelBuildError if it is over the bound."""
    reference, logits = np.array(expected), np.array(found)
    if logits.shape != reference.shape:
        raise ModelBuildError(f"{name} answers in the shape {logits.shape}, torch_fp32 in {reference.shape}")
    spread = float((reference.max(axis=0) - reference.min(axis=0)).min())
    share = float(np.abs(logits - reference).max()) / spread if spread else float("inf")
    if not share <= LARGEST_SHARE:
        raise ModelBuildError(
            f"{name} does not compute what PyTorch computes: its logits are off by {share:.2f} of their spread, where "
            f"{LARGEST_SHARE} is allowed; it would be measured while broken: pass --without {name}"
        )
    return share
