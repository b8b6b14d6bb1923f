"""Names of labels come in, which of them mean "toxic" comes out; names that do not say so are an error.

Guessing wrong would turn every verdict round, so `LABEL_1` is never assumed to be the bad one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

# "not_toxic", "non-hate", "nothate" and "inoffensive" name the opposite of what they contain.
TOXIC_NAME = re.compile(
    r"(?P<negation>not|non|no|un|in)?[\W_]*"
    r"(?:toxic|hate|offens|insult|obscen|threat|abus|harass|bully|slur|profan|identity_attack|racis|sexis)",
    re.IGNORECASE,
)


def toxic_labels(labels: Sequence[str], given: Sequence[str], activation: str) -> tuple[str, ...]:
    """Return the labels that `given` names or, without any, those whose own names say it."""
    if unknown := sorted(set(given) - set(labels)):
        raise ModelBuildError(f"--toxic-labels names {', '.join(unknown)}; the checkpoint has {', '.join(labels)}")
    chosen = tuple(label for label in labels if label in given) if given else tuple(filter(_sounds_toxic, labels))
    if not chosen:
        raise ModelBuildError(
            f"none of the labels {', '.join(labels)} says that it is toxic: pass --toxic-labels NAME,.."
        )
    if activation == "softmax" and len(chosen) == len(labels):
        raise ModelBuildError(f"all of the labels {', '.join(labels)} would be toxic: pass --toxic-labels NAME,..")
    return chosen


def _sounds_toxic(label: str) -> bool:
    found = TOXIC_NAME.search(label)
    return found is not None and not found["negation"]
