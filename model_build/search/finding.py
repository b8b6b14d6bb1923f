"""What was found about one candidate: figures only, as they stand in docs/rewrites.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Quality:
    """Over labelled texts: how well they are ranked, and the share of verdicts that PyTorch's are not."""

    auc: float
    changed_verdicts: float


@dataclass(frozen=True)
class Speed:
    """At one length: the median, and the median over the rounds of how much more it took than the shipped model."""

    milliseconds: float
    change: float


@dataclass(frozen=True)
class Finding:
    """`operators` says how many more or fewer there are of a kind than in the shipped graph."""

    name: str
    bytes: int
    operators: dict[str, int]
    difference: float
    start: Speed
    speeds: dict[int, Speed]
    quality: Quality | None

    @property
    def mean_change(self) -> float:
        """The change of speed over all lengths, which count alike."""
        return sum(speed.change for speed in self.speeds.values()) / len(self.speeds)

    def as_json(self) -> dict[str, Any]:
        """Return the fields for docs/rewrites.json."""
        return asdict(self)
