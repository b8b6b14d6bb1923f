"""Build and deliver what the bot receives: Slack's signed requests, and Lambda's events for them."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from base64 import b32encode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from local.workspace import Event, Identity

USER_AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
ANSWER_SECONDS = 3.0  # a later answer counts as a failed delivery
RETRY_DELAYS = (0.0, 60.0, 300.0)  # seconds, see docs.slack.dev/apis/events-api


def event_callback(event: Event, identity: Identity, clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """Return the envelope of an event. The same event always gets the same id."""
    digest = hashlib.sha256(json.dumps([identity.team_id, event], sort_keys=True).encode()).digest()
    context = {"et": event["type"], "tid": identity.team_id, "aid": identity.app_id}
    return {
        "token": identity.verification_token,
        "team_id": identity.team_id,
        "context_team_id": identity.team_id,
        "context_enterprise_id": identity.enterprise_id,
        "api_app_id": identity.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": "Ev" + b32encode(digest).decode()[:10],
        "event_time": int(clock()),
        "authorizations": [
            {
                "enterprise_id": identity.enterprise_id,
                "team_id": identity.team_id,
                "user_id": identity.bot_user_id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": "4-" + urlsafe_b64encode(json.dumps(context).encode()).decode().rstrip("="),
    }


def message_event(channel: str, message: Mapping[str, Any]) -> Event:
    """Return the event for a new message in a public channel."""
    return {**message, "channel": channel, "channel_type": "channel", "event_ts": message["ts"]}


def message_changed(channel: str, message: Mapping[str, Any], before: Mapping[str, Any], event_ts: str) -> Event:
    """Return the event for a message that was edited, or that Slack changed, for example to add a link preview."""
    return _hidden("message_changed", channel, before, event_ts) | {"message": dict(message)}


def message_deleted(channel: str, before: Mapping[str, Any], event_ts: str) -> Event:
    return _hidden("message_deleted", channel, before, event_ts) | {"deleted_ts": before["ts"]}


def _hidden(subtype: str, channel: str, before: Mapping[str, Any], event_ts: str) -> Event:
    kind = {"type": "message", "subtype": subtype, "hidden": True, "previous_message": dict(before)}
    return kind | {"channel": channel, "ts": event_ts, "channel_type": "channel", "event_ts": event_ts}


def url_verification(identity: Identity, challenge: str) -> dict[str, Any]:
    return {"token": identity.verification_token, "challenge": challenge, "type": "url_verification"}


def app_rate_limited(identity: Identity, clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """Return the payload that Slack sends once a minute to an app that exceeds its rate limit for events."""
    minute = int(clock()) // 60 * 60
    names = {"token": identity.verification_token, "type": "app_rate_limited", "team_id": identity.team_id}
    return names | {"minute_rate_limited": minute, "api_app_id": identity.app_id}


def encoded(payload: Mapping[str, Any]) -> bytes:
    """Return the body of a request, which is what gets signed."""
    return json.dumps(payload, separators=(",", ":")).encode()


def as_form(payload: Mapping[str, Any]) -> bytes:
    """Return the form body of an interaction (a field with JSON) or of a slash command (one field per value)."""
    if payload["type"] == "slash_command":
        return urlencode({name: value for name, value in payload.items() if name != "type"}, errors="replace").encode()
    return urlencode({"payload": encoded(payload).decode()}).encode()


def signed(
    body: bytes, secret: str, timestamp: int, *, retry_num: int = 0, retry_reason: str = "", kind: str = JSON
) -> dict[str, str]:
    """Return the headers of a signed request: docs.slack.dev/authentication/verifying-requests-from-slack."""
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"X-Slack-Request-Timestamp": str(timestamp), "X-Slack-Signature": f"v0={digest}"}
    headers |= {"Content-Type": kind, "User-Agent": USER_AGENT, "Accept": "*/*"}
    retry = {"X-Slack-Retry-Num": str(retry_num), "X-Slack-Retry-Reason": retry_reason} if retry_num else {}
    return headers | retry


@dataclass(frozen=True)
class Delivery:
    """The result of one attempt. `status` is 0 if there was no answer. `failure` is Slack's reason for a retry."""

    status: int
    seconds: float
    failure: str = ""
    no_retry: bool = False
    body: bytes = b""


def deliver(
    url: str, body: bytes, headers: Mapping[str, str], timeout: float = ANSWER_SECONDS,
    *, stopwatch: Callable[[], float] = time.monotonic,
) -> Delivery:  # fmt: skip
    """Send one request. As in Slack, an answer after the timeout is a failure."""
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")
    start = stopwatch()
    status, no_retry, text, failure = 0, False, b"", ""
    try:
        try:
            answer = urllib.request.urlopen(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            answer, failure = error, "http_error"
        with answer:
            text, status = answer.read(), answer.status
        no_retry = failure != "" and answer.headers.get("X-Slack-No-Retry") == "1"
    except OSError as error:
        failure = _connection_failure(error)
    except http.client.HTTPException:
        failure = "unknown_error"
    seconds = stopwatch() - start
    return Delivery(status, seconds, "http_timeout" if seconds > timeout else failure, no_retry, text)


class Deliveries:
    """Sends events as Slack does, with up to three retries until the status is 2xx. Each attempt is signed again."""

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        delays: Sequence[float] = RETRY_DELAYS,
        timeout: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.time,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self.url, self.secret = url, secret
        self._delays, self._timeout, self._clock, self._wait = delays, timeout, clock, wait

    def attempt(self, body: bytes, *, kind: str = JSON, retry_num: int = 0, retry_reason: str = "") -> Delivery:
        """Sign a body and send it once."""
        now = int(self._clock())
        headers = signed(body, self.secret, now, retry_num=retry_num, retry_reason=retry_reason, kind=kind)
        return deliver(self.url, body, headers, self._timeout)

    def send(self, payload: Mapping[str, Any]) -> list[Delivery]:
        """Send an event until it is accepted. Return all attempts; the last one has the result."""
        body = encoded(payload)
        attempts = [self.attempt(body)]
        for number, delay in enumerate(self._delays, start=1):
            last = attempts[-1]
            if not last.failure or last.no_retry:
                break
            self._wait(delay)
            attempts.append(self.attempt(body, retry_num=number, retry_reason=last.failure))
        return attempts

    def ask(self, payload: Mapping[str, Any]) -> Delivery:
        """Send an interaction or a slash command once. If it fails, Slack shows an error and does not retry."""
        return self.attempt(as_form(payload), kind=FORM)


def _connection_failure(error: OSError) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "http_timeout"
    return "ssl_error" if isinstance(cause, ssl.SSLError) else "connection_failed"


def sqs_event(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return Lambda's event for the messages from boto3's `receive_message`."""
    return {"Records": [_sqs_record(message) for message in messages]}


def _sqs_record(message: Mapping[str, Any]) -> dict[str, Any]:
    if "Attributes" not in message:
        raise ValueError(
            f"message {message['MessageId']} has no attributes, but Lambda always sends them: "
            'call receive_message with MessageSystemAttributeNames=["All"]'
        )
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "messageAttributes": {},  # the bot's jobs have none
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:jobs",
        "awsRegion": "eu-central-1",
    }
