"""The error that the build raises on purpose; its message says what is wrong, where, and what to do."""

from __future__ import annotations

from toxicity_bot.errors import BotError


class ModelBuildError(BotError):
    """Raised if a step cannot go on, or if its result is not what it should be; nothing is put in place then."""

    exit_status = 2
