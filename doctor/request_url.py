"""Check the request URL: the receiver must refuse unsigned requests and answer Slack's signed challenge.

The challenge is signed with the secret that the bot has; only Slack knows whether that is the app's own.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from doctor.findings import Check, ok, unknown, wrong
from local.events import ANSWER_SECONDS, Delivery, deliver, encoded, signed

if TYPE_CHECKING:
    from toxicity_bot.settings import Secret

SUBJECT = "request url"


def check_request_url(url: str, signing_secret: Secret, slack_time: float) -> Check[None]:
    """Send an unsigned request, and then the challenge with which Slack verifies the address."""
    if not url:
        mend = "give the address: make doctor REQUEST_URL=https://.../slack/events"
        yield unknown(SUBJECT, "not checked: the address is not known", mend)
        return
    stranger = deliver(url, b"{}", {"Content-Type": "application/json"})
    if stranger.status != 401:
        yield wrong(SUBJECT, f"an unsigned request got {_told(stranger)} where 401 is right", _mend(stranger))
        return
    if not signing_secret:
        yield unknown(SUBJECT, "it refuses an unsigned request; a signed one cannot be sent without the signing secret")
        return
    challenge = secrets.token_urlsafe()
    body = encoded({"type": "url_verification", "challenge": challenge})
    slack = deliver(url, body, signed(body, signing_secret, int(slack_time)))
    if slack.status == 200 and not slack.failure and _challenge(slack.body) == challenge:
        took = f"within {slack.seconds:.1f} s" if slack.seconds > 1 else f"within {slack.seconds * 1000:.0f} ms"
        yield ok(SUBJECT, f"it refuses an unsigned request, and answers a signed challenge {took}")
    else:
        yield wrong(SUBJECT, f"Slack's signed challenge got {_told(slack)} where its echo is right", _mend(slack))


def _told(delivery: Delivery) -> str:
    late = f" after more than Slack's {ANSWER_SECONDS:.0f} s" if delivery.failure == "http_timeout" else ""
    return f"{delivery.status or 'no answer'}{late or (f' ({delivery.failure})' if not delivery.status else '')}"


def _mend(delivery: Delivery) -> str:
    if delivery.failure == "http_timeout":
        return "look at the receiver's log; if its cold start takes this long, give it more memory"
    if not delivery.status:
        return "check that the receiver runs, and that this machine can reach it"
    if delivery.status == 401:
        return (
            "the receiver holds another signing secret, or its clock is off: give it a minute to read a secret that "
            "was changed, then look at the metric ClockOffset"
        )
    if delivery.status == 503:
        return "the receiver cannot read its secret, or the secret has another form: look at its log"
    return "what answers there is not the receiver: use the stack's output RequestUrl unchanged, with its path"


def _challenge(body: bytes) -> object:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer.get("challenge") if isinstance(answer, dict) else None
