"""The errors that the bot raises on purpose, in one hierarchy.

Attributes hold an error's data. Its message says what is wrong, with which file or setting, and what to do. No error
contains the text of a message, a token or a signature.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


# With these codes Slack may have done some of the work, says docs.slack.dev.
_PERHAPS_DONE = ("fatal_error", "internal_error", "service_unavailable")


class BotError(Exception):
    """The base class of the bot's own errors. `exit_status` is the exit status of a command: 2 for wrong input."""

    exit_status = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Make the error picklable, whatever its constructor takes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class SettingError(BotError):
    """Raised if an environment variable is missing or invalid."""

    exit_status = 2

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name


class ModelError(BotError):
    """Raised if a file of the model directory is missing, damaged or inconsistent with `model.json`."""

    exit_status = 2

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path


class NotEnglishWarning(UserWarning):
    """Issued if a text that is scored seems to be in another language than English."""


class RefusedRequestError(BotError):
    """Raised if an HTTP request is not a valid one from Slack. `reason` is a metric dimension."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"request refused with {status}: {reason}")
        self.status = status
        self.reason = reason


class StaleRequestError(RefusedRequestError):
    """Raised if a correctly signed request is too old or from the future. `offset`: our clock minus Slack's, in s."""

    def __init__(self, offset: float) -> None:
        super().__init__(401, "stale")
        self.offset = offset


class ApiError(BotError):
    """Raised if a scoring request is refused. `detail` gives the reason in the format of Google's APIs."""

    def __init__(self, code: int, status: str, message: str, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code} {status}")
        self.code, self.status, self.message, self.detail = code, status, message, detail or {}

    @property
    def reason(self) -> str:
        """A metric dimension, from a short list."""
        return str(self.detail.get("errorType") or self.detail.get("reason") or self.status)


class JobError(BotError):
    """Raised if a queue message is not a job written by the receiver."""


class ClaimedError(BotError):
    """Raised if another invocation is doing the same work. The job is retried after `seconds`."""

    def __init__(self, kind: str, seconds: int = 0) -> None:
        super().__init__(f"another invocation is working on this {kind}")
        self.seconds = seconds


class LedgerError(BotError):
    """Raised if the ledger's table does not respond. `code` is the class of the cause."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the ledger table does not respond: {code}")
        self.code = code


class SecretStoreError(BotError):
    """Raised if the secret cannot be read. `code` is the AWS error code or the class of the cause."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the secret that SLACK_SECRET_ID names cannot be read: {code}")
        self.code = code


class SlackError(BotError):
    """Raised if a call to Slack fails. `code` is Slack's error code. The class itself stands for unknown codes."""

    def __init__(self, method: str, code: str) -> None:
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code


class SlackUnavailableError(SlackError):
    """Raised if Slack could not be reached or had an internal error. A retry may succeed.

    `cursor` is the cursor of the page that a search could not read.
    """

    cursor = ""

    @property
    def outcome_unknown(self) -> bool:
        """Whether a post may have been made or may still appear: it was sent, and Slack did not clearly refuse it."""
        # The class of an exception; a URLError is raised only if the request was not sent.
        unanswered = self.code[:1].isupper() and self.code != "URLError"
        if self.method == "response_url":
            return unanswered
        unclear = unanswered or self.code.startswith("http_") or self.code in _PERHAPS_DONE
        return self.method.startswith("chat.post") and unclear


class RateLimitedError(SlackUnavailableError):
    """Raised if Slack rate-limits a call. `retry_after` is in seconds."""

    def __init__(self, method: str, retry_after: int) -> None:
        super().__init__(method, "ratelimited")
        self.retry_after = retry_after


class MessageGoneError(SlackError):
    """Raised if the message, or the thread to reply in, no longer exists."""


class NotPermittedError(SlackError):
    """Raised if the bot is not a member or lacks a scope. `scope` is the missing one, if Slack names it."""

    def __init__(self, method: str, code: str, channel: str, scope: str | None = None) -> None:
        super().__init__(method, code)
        self.channel = channel
        self.scope = scope


class ChannelRestrictedError(SlackError):
    """Raised if nobody may read or post in the channel, for example because it is archived, locked or restricted."""

    def __init__(self, method: str, code: str, channel: str) -> None:
        super().__init__(method, code)
        self.channel = channel


class CredentialsRefusedError(SlackError):
    """Raised if the token is expired, revoked or belongs to an app that was removed."""


class WrongCallError(SlackError):
    """Raised if Slack rejects the arguments of a call. A retry cannot succeed."""


class FileError(BotError):
    """Raised if a file cannot be scored, or the scores cannot be written to it."""

    exit_status = 2

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name


class WorkerError(BotError):
    """Raised if a process that scores texts cannot start or exits early."""
