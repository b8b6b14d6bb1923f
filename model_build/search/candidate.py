"""One choice of the build, turned round: which module's knob is set otherwise, or which graph is rewritten.

Knows what to change, not how the steps are run or what comes of it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    import onnx


class Change(NamedTuple):
    """A name of a module and what it stands for instead."""

    module: ModuleType
    name: str
    value: object


@dataclass(frozen=True)
class Candidate:
    """`after` is the last step whose folder is taken as it ships; without it, even the export is made anew."""

    name: str
    topic: str
    what: str
    decision: str
    after: str | None = None
    changes: tuple[Change, ...] = ()
    rewrite: Callable[[onnx.ModelProto], object] | None = None  # of the graph that step `after` left
    checkpoint: Callable[[Path, Path], None] | None = None  # writes another checkpoint: from folder, to folder
    serves: str = "optimized"  # the step whose folder is served
    rounds_otherwise: bool = False  # its numbers differ on purpose, so labelled texts are scored as well

    @property
    def is_control(self) -> bool:
        """Whether nothing is changed, so that what is measured is the noise."""
        return not (self.changes or self.rewrite or self.checkpoint) and self.serves == "optimized"


@contextlib.contextmanager
def applied(changes: Sequence[Change]) -> Iterator[None]:
    """Set each name for the time being; raises AttributeError, before anything is set, if a module has no such name."""
    before: list[Any] = [getattr(change.module, change.name) for change in changes]
    try:
        for change in changes:
            setattr(change.module, change.name, change.value)
        yield
    finally:
        for change, value in zip(changes, before, strict=True):
            setattr(change.module, change.name, value)
