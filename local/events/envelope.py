"""What Slack says: the envelopes of events and the headers that sign them. Pure; the clock is passed in."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import b32encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.workspace import Event, Identity

USER_AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"


def event_callback(
    event: Event, identity: Identity, clock: Callable[[], float] = time.time, *, is_ext_shared: bool = False
) -> dict[str, Any]:
    """The envelope of an event; its id follows from the event, so building it again is the same delivery."""
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
        "is_ext_shared_channel": is_ext_shared,
        "event_context": "4-" + urlsafe_b64encode(json.dumps(context).encode()).decode().rstrip("="),
    }


def url_verification(identity: Identity, challenge: str) -> dict[str, Any]:
    return {"token": identity.verification_token, "challenge": challenge, "type": "url_verification"}


def app_rate_limited(identity: Identity, clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """What Slack sends once a minute instead of events when an app has had more than its share."""
    minute = int(clock()) // 60 * 60
    names = {"token": identity.verification_token, "type": "app_rate_limited", "team_id": identity.team_id}
    return names | {"minute_rate_limited": minute, "api_app_id": identity.app_id}


def encoded(payload: Mapping[str, Any]) -> bytes:
    """A request's body: signatures are over these bytes and no others."""
    return json.dumps(payload, separators=(",", ":")).encode()


def signed(body: bytes, secret: str, timestamp: int, *, retry_num: int = 0, retry_reason: str = "") -> dict[str, str]:
    """The headers of a request from Slack: docs.slack.dev/authentication/verifying-requests-from-slack."""
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"X-Slack-Request-Timestamp": str(timestamp), "X-Slack-Signature": f"v0={digest}"}
    headers |= {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Accept": "*/*"}
    retry = {"X-Slack-Retry-Num": str(retry_num), "X-Slack-Retry-Reason": retry_reason} if retry_num else {}
    return headers | retry
