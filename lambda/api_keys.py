"""API keys of the scoring service, and their quotas.

Only the SHA-256 of a key is stored, in the stack's secret beside the Slack credentials:
`"api_keys": {"a name": "64 hexadecimal digits"}`. A key has 256 random bits, so its hash needs no salt.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from .credentials import SECONDS_BETWEEN_READS, secret_text
from .errors import ApiError, SecretStoreError, SettingError
from .settings import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .settings import Settings

_HASH = re.compile(r"[0-9a-f]{64}")


def new_key() -> Secret:
    """Return a random key."""
    return Secret(secrets.token_urlsafe(32))


def hashed(key: str) -> str:
    """Return the hash of a key, which is what is stored."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def keys_in(text: str) -> dict[str, str]:
    """Return the key hashes in a secret, by name. Raises SettingError if they are malformed."""
    try:
        found: Any = json.loads(text or "{}").get("api_keys", {})
        if all(_HASH.fullmatch(digest) for digest in found.values()):
            return dict(found)
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass  # raised below: the cause would show the secret
    raise SettingError("SLACK_SECRET_ID", 'names a secret whose "api_keys" are not {"name": "a SHA-256 hash"}.')


class ApiKeys:
    """The accepted keys, from the environment or from Secrets Manager. The secret is read again after a minute."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._read_at = float("-inf")
        self._keys: Mapping[str, str] | None = None
        self._tokens: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def check(self, key: str) -> None:
        """Count one request against the quota of a key. Raises ApiError if the key is unknown or its quota is used up.

        Raises SecretStoreError if the keys cannot be read and never could be before.
        """
        if self._settings.api_key_hashes == ("none",):
            return
        if not key:
            raise ApiError(
                403, "PERMISSION_DENIED", "The request is missing a valid API key.", _info("API_KEY_MISSING")
            )
        digest = hashed(key)
        with self._lock:
            # Compare every hash, so that the response time does not reveal which one matched.
            matches = [name for name, known in self._current().items() if hmac.compare_digest(known, digest)]
            if not matches:
                raise ApiError(403, "PERMISSION_DENIED", "API key not valid.", _info("API_KEY_INVALID"))
            self._take(matches[0])

    def _take(self, name: str) -> None:
        """Take a token from the bucket of a key. A bucket holds the tokens of ten seconds."""
        rate, now = self._settings.requests_per_second_per_key, self._clock()
        capacity = max(1.0, 10 * rate)
        tokens, before = self._tokens.get(name, (capacity, now))
        tokens = min(capacity, tokens + (now - before) * rate)
        if tokens < 1:
            message = f"Quota exceeded: this API key has {rate:g} requests a second."
            raise ApiError(429, "RESOURCE_EXHAUSTED", message, _info("RATE_LIMIT_EXCEEDED"))
        self._tokens[name] = tokens - 1, now

    def _current(self) -> Mapping[str, str]:
        if self._settings.api_key_hashes:
            return {digest: digest for digest in self._settings.api_key_hashes}
        if not self._settings.secret_id:
            return {}
        now = self._clock()
        if self._keys is None or now - self._read_at >= SECONDS_BETWEEN_READS:
            self._read_at = now
            try:
                self._keys = keys_in(secret_text(self._settings.secret_id))
            except SecretStoreError:
                if self._keys is None:
                    raise
        return self._keys


def _info(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
