"""Clients of AWS, and what a refusal of AWS means for whoever asked."""

from __future__ import annotations

from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from doctor.findings import Check, Finding, unknown, wrong

AWS_ERRORS = (BotoCoreError, ClientError)

_Returned = TypeVar("_Returned")

_ABSENT = {
    "ResourceNotFoundException", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "InvalidAddress",
    "ValidationError",  # CloudFormation's word for a stack that does not exist
}  # fmt: skip
_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
_NOT_SIGNED_IN = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound", "NoRegionError",
    "TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError", "ExpiredToken", "ExpiredTokenException",
    "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException",
    "RequestExpired",
}  # fmt: skip


def client(service: str, *, read_timeout: float = 10) -> Any:
    """Return a client that gives up soon; the region and the identity are the environment's."""
    config = Config(connect_timeout=5, read_timeout=read_timeout, retries={"total_max_attempts": 2})
    return boto3.client(service, config=config)  # type: ignore[call-overload]  # any service's name


def refusal(subject: str, code: str, action: str, if_absent: str) -> Finding:
    """Tell what it means that AWS answered with `code`, an error's code or class, when asked for `action`."""
    if code in _ABSENT:
        return wrong(subject, f"does not exist in this account and region ({code})", if_absent)
    if code in _DENIED:
        return unknown(subject, f"AWS does not let this identity look ({code})", f"allow it the action {action}")
    if code in _NOT_SIGNED_IN:
        mend = "sign in (aws sso login, aws configure), or name what to use: AWS_PROFILE=... make doctor REGION=..."
        return unknown(subject, f"this machine is not signed in to AWS, or knows no region ({code})", mend)
    return wrong(
        subject, f"AWS does not answer {action} ({code})", "check the network, AWS_ENDPOINT_URL and the region"
    )


def refused(subject: str, error: BotoCoreError | ClientError, if_absent: str) -> Finding:
    """Make a finding of what boto3 raised."""
    if isinstance(error, ClientError):
        return refusal(subject, error.response["Error"]["Code"], error.operation_name, if_absent)
    return refusal(subject, type(error).__name__, "here", if_absent)


def asking(subject: str, if_absent: str, check: Check[_Returned]) -> Check[_Returned | None]:
    """Pass on what a check finds; where AWS refuses to answer it, that is the finding, and nothing is returned."""
    try:
        return (yield from check)
    except AWS_ERRORS as error:
        yield refused(subject, error, if_absent)
        return None
