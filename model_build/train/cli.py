"""Stand-ins until the training commands move here."""

from __future__ import annotations


def pretrain() -> None:
    """Learn a language from plain text."""


def finetune() -> None:
    """Learn from labelled messages."""


def distill() -> None:
    """Learn from labelled messages and teachers."""


def convert() -> None:
    """Convert a checkpoint."""
