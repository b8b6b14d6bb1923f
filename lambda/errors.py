"""The errors that the bot raises on purpose, in one tree.

Attributes hold the data of an error. Its message says what is wrong, with which file or setting, and what to do. No
error holds the text of a message, a token or a signature.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


# How a connection fails after the request was sent and before the whole answer has arrived.
_UNANSWERED = ("TimeoutError", "ConnectionResetError", "RemoteDisconnected", "IncompleteRead")


class BotError(Exception):
    """The base class of the bot's own errors. `exit_status` is that of a command that it ends: 2 for wrong input."""

    exit_status = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process raise it, whatever its constructor takes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class SettingError(BotError):
    """Raised if an environment variable is missing or has a value that cannot be used."""

    exit_status = 2

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name


class ModelError(BotError):
    """Raised if a file of the model directory is missing, damaged or not what `model.json` says."""

    exit_status = 2

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
    """Raised if a correctly signed request is too old or from the future; `offset` is our clock minus Slack's, in s."""

    def __init__(self, offset: float) -> None:
        super().__init__(401, "stale")
        self.offset = offset


class ApiError(BotError):
    """Raised if a request for scores is refused; `detail` says why in the form of Google's APIs."""

    def __init__(self, code: int, status: str, message: str, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code} {status}")
        self.code, self.status, self.message, self.detail = code, status, message, detail or {}

    @property
    def reason(self) -> str:
        """A metric's dimension, from a short list."""
        return str(self.detail.get("errorType") or self.detail.get("reason") or self.status)


class JobError(BotError):
    """Raised if a queue message is not a job that the receiver wrote."""


class ClaimedError(BotError):
    """Raised if another invocation is doing the same work; the job is retried later."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"another invocation is at this {kind}")


class LedgerError(BotError):
    """Raised if the ledger's table does not answer; `code` is the class of the cause."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the ledger table does not answer: {code}")
        self.code = code


class SecretStoreError(BotError):
    """Raised if the secret cannot be read; `code` is the error code of AWS, or the class of the cause."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the secret that SLACK_SECRET_ID names cannot be read: {code}")
        self.code = code


class SlackError(BotError):
    """Raised if a call to Slack failed; `code` is Slack's error code. The class itself stands for unknown codes."""

    def __init__(self, method: str, code: str) -> None:
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code


class SlackUnavailableError(SlackError):
    """Raised if Slack could not be reached or had an internal error; a later try may succeed.

    `reached` is the cursor of the page that a search could not read.
    """

    reached = ""

    @property
    def may_yet_happen(self) -> bool:
        """Whether a post may still appear, because it was sent and Slack did not answer."""
        if self.method == "response_url":
            return self.code in _UNANSWERED
        unanswered = self.code in _UNANSWERED or self.code.startswith("http_5")
        return self.method.startswith("chat.post") and unanswered


class RateLimitedError(SlackUnavailableError):
    """Raised if Slack limits the rate of calls; `retry_after` is in seconds."""

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


class WrongCallError(SlackError):
    """Raised if Slack does not accept a call as the bot makes it; no later try can succeed."""


class FileError(BotError):
    """Raised if a file cannot be scored, or cannot take the scores."""

    exit_status = 2

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name


class WorkerError(BotError):
    """Raised if a process that scores texts cannot begin or ends early."""
