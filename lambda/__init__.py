"""Judge how toxic a message is: a classifier for everybody, and the Lambda functions of the Slack bot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import Classifier

__all__ = ["Classifier"]


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: the receiver must start without onnxruntime.
    if name != "Classifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .classifier import Classifier

    return Classifier
