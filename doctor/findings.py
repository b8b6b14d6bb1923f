"""Findings of the checks: a mark, a sentence and a remedy. AWS errors become findings too. None contains a secret."""

from __future__ import annotations

import textwrap
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from toxicity_bot.errors import BotError

WIDTH = 118
MARK_WIDTH, SUBJECT_WIDTH = 9, 19
AWS_ERRORS = (BotoCoreError, ClientError)
DEPLOY = "make deploy"

_ABSENT = {
    "ResourceNotFoundException", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "InvalidAddress",
    "ValidationError",  # CloudFormation's code for a stack that does not exist
}  # fmt: skip
_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
_NOT_SIGNED_IN = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError",
    "SSOTokenLoadError", "UnauthorizedSSOTokenError", "ExpiredToken", "ExpiredTokenException",
    "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException",
    "RequestExpired",
}  # fmt: skip


class Mark(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"  # not checked: a permission is missing, or an earlier check failed


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    mark: Mark
    subject: str
    sentence: str
    remedy: str = ""

    def as_text(self) -> str:
        """Return the finding as text. The remedy stays on one line, so that a command in it can be copied."""
        head = f"{self.mark:<{MARK_WIDTH}}{self.subject:<{SUBJECT_WIDTH}}"
        indent = " " * len(head)
        text = textwrap.fill(self.sentence, WIDTH, initial_indent=head, subsequent_indent=indent)
        return f"{text}\n{indent}-> {self.remedy}" if self.remedy else text


ok = partial(Finding, Mark.OK)
wrong = partial(Finding, Mark.WRONG)
unknown = partial(Finding, Mark.UNKNOWN)
_Returned = TypeVar("_Returned")
# A check yields findings and returns what later checks need.
Check = Generator[Finding, None, _Returned]


def client(service: str, *, read_timeout: float = 10) -> Any:
    """Return a boto3 client with short timeouts. The region and the credentials come from the environment.

    Raises BotError if AWS_ENDPOINT_URL is not a URL.
    """
    config = Config(connect_timeout=5, read_timeout=read_timeout, retries={"total_max_attempts": 2})
    try:
        return boto3.client(service, config=config)  # type: ignore[call-overload]  # any service's name
    except ValueError as error:
        raise BotError(f"{error}: AWS_ENDPOINT_URL must be a URL, or not be set") from error


def aws_error(subject: str, code: str, action: str, if_absent: str) -> Finding:
    """Return the finding for the error code or exception class that `action` failed with."""
    if code in _ABSENT:
        return wrong(subject, f"does not exist in this account and region ({code})", if_absent)
    if code in _DENIED:
        return unknown(subject, f"this identity is not allowed to read it ({code})", f"allow it the action {action}")
    if code in _NOT_SIGNED_IN:
        return unknown(
            subject, f"this machine is not signed in to AWS ({code})", "sign in: aws sso login, or aws configure"
        )
    if code == "NoRegionError":
        return unknown(subject, "no AWS region is configured", "name the stack's region, such as REGION=eu-central-1")
    if code == "ProfileNotFound":
        return unknown(subject, "AWS_PROFILE names an unknown profile", "aws configure list-profiles lists them")
    look = "check the network, AWS_ENDPOINT_URL and the region"
    return wrong(subject, f"AWS did not answer {action} ({code})", look)


def aws_exception(subject: str, error: BotoCoreError | ClientError, if_absent: str) -> Finding:
    """Return the finding for a boto3 exception."""
    if isinstance(error, ClientError):
        return aws_error(subject, error.response["Error"]["Code"], error.operation_name, if_absent)
    return aws_error(subject, type(error).__name__, "the request", if_absent)


def aws_checked(subject: str, if_absent: str, check: Check[_Returned]) -> Check[_Returned | None]:
    """Run a check. An AWS error becomes a finding, and the result is None."""
    try:
        return (yield from check)
    except AWS_ERRORS as error:
        yield aws_exception(subject, error, if_absent)
        return None
