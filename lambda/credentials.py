"""Slack's signing secrets and the bot's token: given directly, or read from Secrets Manager at run time.

The secret is JSON: `{"signing_secrets": ["...", "..."], "bot_token": "xoxb-..."}`; more than one signing secret is
accepted while Slack's is being rotated. Nothing here logs, and no value ever stands in an error.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from errors import SettingError
from settings import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from settings import Settings

# A forged signature must not be able to make the bot read the secret store over and over.
SECONDS_BETWEEN_READS = 60


class _Values(NamedTuple):
    signing_secrets: tuple[Secret, ...]
    bot_token: Secret


class Credentials:
    """What authenticates Slack to the bot and the bot to Slack; read on first use and kept."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret_id = settings.secret_id
        self._clock = clock
        self._read_at = float("-inf")
        self._values = None if settings.secret_id else _Values(settings.signing_secrets, settings.bot_token)

    @property
    def signing_secrets(self) -> tuple[Secret, ...]:
        return self._current().signing_secrets

    @property
    def bot_token(self) -> Secret:
        return self._current().bot_token

    def refresh(self) -> bool:
        """Read the secret again, at most once a minute; whether it has changed."""
        if not self._secret_id or self._clock() - self._read_at < SECONDS_BETWEEN_READS:
            return False
        before = self._values
        self._values = self._read()
        return self._values != before

    def _current(self) -> _Values:
        if self._values is None:
            self._values = self._read()
        return self._values

    def _read(self) -> _Values:
        # Imported here: whoever gives the secrets directly does not pay for it at start-up.
        from aws_lambda_powertools.utilities import parameters

        self._read_at = self._clock()
        text = parameters.get_secret(self._secret_id, force_fetch=True)
        try:
            secret = json.loads(text)
            values = _Values(tuple(Secret(item) for item in secret["signing_secrets"]), Secret(secret["bot_token"]))
        except (ValueError, TypeError, KeyError):
            # The cause would show the secret.
            raise SettingError(
                "SLACK_SECRET_ID", 'names a secret that is not {"signing_secrets": [..], "bot_token": ".."}.'
            ) from None
        return values
