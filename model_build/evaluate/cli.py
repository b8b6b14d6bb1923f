"""Stand-ins until the evaluation commands move here."""

from __future__ import annotations


def evaluate() -> None:
    """Compare models on labelled messages."""


def calibrate() -> None:
    """Set a model's temperature and thresholds."""
