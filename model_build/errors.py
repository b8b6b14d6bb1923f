"""The error class of this package."""

from __future__ import annotations

from toxicity_bot.errors import BotError


class ModelBuildError(BotError):
    """Raised if a step cannot continue or its result is wrong. The message says what to do. No output is replaced."""

    exit_status = 2
