"""A classifier for toxic text, and the Lambda functions of the Slack bot that uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import Classifier

__all__ = ["Classifier"]


def __getattr__(name: str) -> Any:
    # Imported lazily: the receiver must start without onnxruntime.
    if name != "Classifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .classifier import Classifier

    return Classifier
