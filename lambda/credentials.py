"""Slack's signing secrets and the bot's token, from the environment or from Secrets Manager.

The secret is JSON: `{"signing_secrets": ["...", "..."], "bot_token": "xoxb-..."}`. Several signing secrets are accepted
during a rotation. If several teams or enterprises have installed the app, each has a token in
`"bot_tokens": {"T...": "xoxb-...", "E...": "xoxb-..."}`. This module logs nothing, and its errors contain no values.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import SecretStoreError, SettingError
from .settings import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .settings import Settings

# Forged signatures and a failing secret store must not cause a read on every request.
SECONDS_BETWEEN_READS = 60
SECONDS_AFTER_FAILURE = 2
PLACEHOLDER = "replace-me"  # the value in template.yaml


class Values(NamedTuple):
    signing_secrets: tuple[Secret, ...]
    bot_token: Secret
    bot_tokens: Mapping[str, Secret]


class Credentials:
    """The signing secrets and tokens, read on first use and cached."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret_id = settings.secret_id
        self._clock = clock
        self._read_at = float("-inf")
        self._values = None if settings.secret_id else Values(settings.signing_secrets, settings.bot_token, {})

    @property
    def signing_secrets(self) -> tuple[Secret, ...]:
        return self._current().signing_secrets

    @property
    def bot_token(self) -> Secret:
        return self._current().bot_token

    def bot_token_of(self, installation: str) -> Secret:
        """Return the token of the team or enterprise that installed the app, or the default token."""
        values = self._current()
        return values.bot_tokens.get(installation, values.bot_token)

    @property
    def recently_read(self) -> bool:
        """Whether the secret was read so recently that `refresh` would not read it again."""
        return bool(self._secret_id) and self._clock() - self._read_at < SECONDS_BETWEEN_READS

    def refresh(self) -> bool:
        """Read the secret again, at most once a minute. Return whether it has changed."""
        if not self._secret_id or self.recently_read:
            return False
        before = self._values
        self._values = self._read()
        return self._values != before

    def _current(self) -> Values:
        if self._values is None:
            if self._clock() - self._read_at < SECONDS_AFTER_FAILURE:
                raise SecretStoreError("failed a moment ago")
            self._values = self._read()
        return self._values

    def _read(self) -> Values:
        self._read_at = self._clock()
        return parse(secret_text(self._secret_id))


def secret_text(secret_id: str) -> str:
    """Return the text of a secret in Secrets Manager. Raises SecretStoreError."""
    # Imported lazily: starts with secrets from the environment do not need it.
    from aws_lambda_powertools.utilities.parameters import SecretsProvider
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
    from botocore.config import Config
    from botocore.exceptions import ClientError

    # Slack waits 3 s: two short attempts fit, boto3's default timeouts do not.
    config = Config(connect_timeout=0.5, read_timeout=0.7, retries={"total_max_attempts": 2})
    try:
        return str(SecretsProvider(boto_config=config).get(secret_id, force_fetch=True) or "")
    except GetParameterError as error:
        cause = error.__context__
        code = cause.response["Error"]["Code"] if isinstance(cause, ClientError) else type(cause).__name__
        raise SecretStoreError(code) from error


def parse(text: Any) -> Values:
    """Return the credentials in a secret. Raises SettingError if the secret is malformed or holds a placeholder."""
    try:
        secret = json.loads(text or "")
        signing_secrets, bot_token = secret["signing_secrets"], secret["bot_token"]
        bot_tokens = secret.get("bot_tokens", {})
    except (ValueError, TypeError, KeyError, RecursionError):
        signing_secrets, bot_token, bot_tokens = None, None, None
    # Anybody could sign with an empty signing secret, or with a single letter if a string were taken for the list.
    listed = isinstance(signing_secrets, list) and signing_secrets and isinstance(bot_tokens, dict)
    values = [*signing_secrets, bot_token, *bot_tokens.values()] if listed else [None]
    if not all(isinstance(item, str) and item for item in values):
        # Raised outside the `except`, because the cause would show the secret.
        raise SettingError(
            "SLACK_SECRET_ID",
            'names a secret that is not {"signing_secrets": ["..."], "bot_token": "..."}, '
            'with or without "bot_tokens": {"T...": "..."}.',
        )
    if PLACEHOLDER in values:
        # The placeholder is public, so anybody could sign with it.
        raise SettingError("SLACK_SECRET_ID", "names a secret that still holds a placeholder: run make secret.")
    tokens = {installation: Secret(token) for installation, token in bot_tokens.items()}
    return Values(tuple(map(Secret, signing_secrets)), Secret(bot_token), tokens)
