"""Every error that the bot raises on purpose, in one tree.

What an error is about is kept as attributes; its message says what, which one, and what would do. None of them
ever holds a message's text, a token or a signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


# How a connection ends on which a request went out, and no whole answer came back.
_UNANSWERED = ("TimeoutError", "ConnectionResetError", "RemoteDisconnected", "IncompleteRead")


class BotError(Exception):
    """The root: whatever is caught as this was foreseen."""


class SettingError(BotError):
    """Raised if an environment variable is missing or has a value that cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name


class ModelError(BotError):
    """Raised if a file of the model directory is missing, damaged or not what `model.json` says."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path


class NotEnglishWarning(UserWarning):
    """Warned of if a text that is scored seems to be in another language than English."""


class RefusedRequestError(BotError):
    """Raised if an HTTP request is not one from Slack that can be read; `reason` is a metric's dimension."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"request refused with {status}: {reason}")
        self.status = status
        self.reason = reason


class StaleRequestError(RefusedRequestError):
    """Raised if a rightly signed request is too old or from the future; `offset` is in seconds, ours minus Slack's."""

    def __init__(self, offset: float) -> None:
        super().__init__(401, "stale")
        self.offset = offset


class JobError(BotError):
    """Raised if a queue message is not a job that the receiver wrote."""


class ClaimedError(BotError):
    """Raised if another invocation is at the same work: come back later."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"another invocation is at this {kind}")


class LedgerError(BotError):
    """Raised if the ledger's table does not answer; `code` is the class of the cause."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the ledger table does not answer: {code}")
        self.code = code


class SecretStoreError(BotError):
    """Raised if Secrets Manager does not give the secret; `code` is AWS's word for it, or the class of the cause."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the secret that SLACK_SECRET_ID names cannot be read: {code}")
        self.code = code


class SlackError(BotError):
    """Raised if Slack did not do what it was asked; `code` is Slack's own word for it."""

    def __init__(self, method: str, code: str) -> None:
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code


class SlackUnavailableError(SlackError):
    """Raised if Slack could not be reached or answered with an error of its own: worth another try later."""

    @property
    def may_yet_happen(self) -> bool:
        """Whether a post may still appear: it was sent, and Slack itself has not answered."""
        unanswered = self.code in _UNANSWERED or self.code.startswith("http_5")
        return self.method.startswith("chat.post") and unanswered


class RateLimitedError(SlackUnavailableError):
    """Raised if Slack asks to wait; `retry_after` is in seconds."""

    def __init__(self, method: str, retry_after: int) -> None:
        super().__init__(method, "ratelimited")
        self.retry_after = retry_after


class MessageGoneError(SlackError):
    """Raised if the message, or the thread to answer in, no longer exists."""


class NotPermittedError(SlackError):
    """Raised if the bot is not a member or lacks a scope; `scope` names the missing one, where Slack said."""

    def __init__(self, method: str, code: str, channel: str, scope: str | None = None) -> None:
        super().__init__(method, code)
        self.channel = channel
        self.scope = scope


class ChannelRestrictedError(SlackError):
    """Raised if nobody may post there: archived, locked or restricted."""


class CredentialsRefusedError(SlackError):
    """Raised if the token is expired, revoked or belongs to an app that was removed."""
