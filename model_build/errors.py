"""The one error that the build stage raises on purpose: its message says what, which one, and what would do."""

from __future__ import annotations


class ModelBuildError(Exception):
    """Raised if a step cannot go on, or if its result is not what it should be; nothing is put in place then."""
