"""Verify an HTTP request and return the payload that Slack signed.

The request is an API Gateway event (payload v2; v1 and function URLs have the same fields). It is checked in this
order: size, signature of the raw bytes, timestamp, JSON or form. No input raises anything but RefusedRequestError.
https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from .errors import RefusedRequestError, StaleRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_BODY_BYTES = 2 * 1024 * 1024  # an edit has text and blocks of both versions: over 300 KiB if they are all emoji
MAX_AGE_SECONDS = 300
MAX_FIELDS = 100  # a slash command has about 15
FORM = "application/x-www-form-urlencoded"

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})+|(?:[A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{2,3}={1,2}")


def read(event: Mapping[str, Any], signing_secrets: Iterable[str], now: float) -> dict[str, Any]:
    """Verify a request and return its payload: the JSON of an event or interaction, or the fields of a command.

    The fields of a form without `payload` get the type `slash_command` or `ssl_check`. `now` is a Unix timestamp.
    """
    body = _raw_body(event)
    headers = _headers(event)
    timestamp = headers.get("x-slack-request-timestamp", "")
    received = headers.get("x-slack-signature", "").encode("utf-8", "replace")
    if not _TIMESTAMP.fullmatch(timestamp) or not received:
        raise RefusedRequestError(401, "unsigned")
    # Try every secret, so that the response time does not reveal which one matched.
    matches = [hmac.compare_digest(signature(secret, timestamp, body), received) for secret in signing_secrets]
    if not any(matches):
        raise RefusedRequestError(401, "bad_signature")
    if abs(now - int(timestamp)) > MAX_AGE_SECONDS:
        raise StaleRequestError(now - int(timestamp))
    is_form = headers.get("content-type", "").partition(";")[0].strip().lower() == FORM
    try:
        payload = _form(body) if is_form else json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RefusedRequestError(400, "malformed") from error
    if not isinstance(payload, dict):
        raise RefusedRequestError(400, "malformed")
    return payload


def _form(body: bytes) -> Any:
    """Return the JSON of an interaction or the fields of a command. Raises ValueError for any other form."""
    text = body.decode("ascii")
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS)
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field occurs twice")
    if "payload" in fields:
        return json.loads(fields["payload"])
    if "command" in fields:
        return fields | {"type": "slash_command"}
    if "ssl_check" in fields:
        return fields | {"type": "ssl_check"}
    raise ValueError("neither an interaction nor a command")


def signature(secret: str, timestamp: str, body: bytes) -> bytes:
    """Return the value that `X-Slack-Signature` must have for these bytes, in Slack's scheme v0."""
    message = b"v0:" + timestamp.encode() + b":" + body
    return b"v0=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest().encode()


def _headers(event: Mapping[str, Any]) -> dict[str, str]:
    headers = event.get("headers")
    return {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}


def _raw_body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise RefusedRequestError(400, "undecodable")
    if len(body) > MAX_BODY_BYTES * 4 // 3 + 4:
        raise RefusedRequestError(413, "too_large")
    encoded = event.get("isBase64Encoded")
    if encoded is None:
        # Not every gateway sets the flag. JSON objects and Slack's forms have characters that Base64 does not use.
        encoded = _BASE64.fullmatch(body)
    try:
        raw = base64.b64decode(body, validate=True) if encoded else body.encode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise RefusedRequestError(400, "undecodable") from error
    if len(raw) > MAX_BODY_BYTES:
        raise RefusedRequestError(413, "too_large")
    return raw
