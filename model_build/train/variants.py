"""The rows of a comparison: what is different about each, beside a student that learns from labels alone.

That student begins with every other layer of a teacher, and the teacher is the base after fine-tuning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from model_build.train.loss import Targets


@dataclass(frozen=True)
class Variant:
    """One row: options of the run that differ, whether a teacher helps, and whether the student begins at random."""

    group: str
    name: str
    run: dict[str, Any] = field(default_factory=dict)
    targets: Targets | None = None
    random: bool = False


DISTILLED = Variant("distillation", "both, temperature 2", targets=Targets(0.5, 2.0))

VARIANTS = (
    Variant("distillation", "labels only"),
    Variant("distillation", "teacher only, temperature 2", targets=Targets(1.0, 2.0)),
    DISTILLED,
    Variant("distillation", "both, temperature 1", targets=Targets(0.5, 1.0)),
    Variant("distillation", "both, temperature 4", targets=Targets(0.5, 4.0)),
    Variant("the student begins with", "random weights, labels only", random=True),
    Variant("the student begins with", "random weights, both, temperature 2", targets=Targets(0.5, 2.0), random=True),
    Variant("schedule, instead of linear", "one-cycle", {"schedule": "one-cycle"}),
    Variant("schedule, instead of linear", "triangular", {"schedule": "triangular"}),
    Variant("schedule, instead of linear", "step", {"schedule": "step"}),
    Variant("clipping, instead of 1.0", "0.1", {"clip": 0.1}),
    Variant("clipping, instead of 1.0", "none", {"clip": 0.0}),
    Variant("accumulation", "4 batches to a step, a quarter of the steps", {"accumulate": 4}),
)
