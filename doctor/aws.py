"""AWS clients, and findings for the errors that AWS returns."""

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
    """Return a client with short time-outs; region and identity come from the environment."""
    config = Config(connect_timeout=5, read_timeout=read_timeout, retries={"total_max_attempts": 2})
    return boto3.client(service, config=config)  # type: ignore[call-overload]  # any service's name


def refusal(subject: str, code: str, action: str, if_absent: str) -> Finding:
    """Return the finding for the error code, or exception class, with which AWS answered `action`."""
    if code in _ABSENT:
        return wrong(subject, f"does not exist in this account and region ({code})", if_absent)
    if code in _DENIED:
        return unknown(subject, f"this identity may not read it ({code})", f"allow it the action {action}")
    if code in _NOT_SIGNED_IN:
        mend = "sign in (aws sso login, aws configure), or choose: AWS_PROFILE=... make doctor REGION=..."
        return unknown(subject, f"this machine is not signed in to AWS, or has no region ({code})", mend)
    return wrong(
        subject, f"AWS does not answer {action} ({code})", "check the network, AWS_ENDPOINT_URL and the region"
    )


def refused(subject: str, error: BotoCoreError | ClientError, if_absent: str) -> Finding:
    """Return the finding for an exception of boto3."""
    if isinstance(error, ClientError):
        return refusal(subject, error.response["Error"]["Code"], error.operation_name, if_absent)
    return refusal(subject, type(error).__name__, "here", if_absent)


def asking(subject: str, if_absent: str, check: Check[_Returned]) -> Check[_Returned | None]:
    """Run a check; an error of AWS becomes a finding, and the result is then None."""
    try:
        return (yield from check)
    except AWS_ERRORS as error:
        yield refused(subject, error, if_absent)
        return None
