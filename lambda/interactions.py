"""Turn a click, a shortcut, a submitted form or a slash command into a request, or return the reason to ignore it.

The functions are pure. https://docs.slack.dev/reference/interaction-payloads
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .jobs import Job
from .reactions import ID, TS, object_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .report_form import Form
    from .settings import Settings

TYPES = ("message_action", "slash_command", "block_actions", "view_submission")

_TRIGGER = re.compile(r"[A-Za-z0-9.]{2,100}")
_COMMAND = re.compile(r"/[^\s/<>&*`]{1,32}")


@dataclass(frozen=True)
class UserRequest:
    """A job, and the texts that came with it. The texts must not be stored: they travel in memory only."""

    job: Job
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)


def request_or_reason(payload: Mapping[str, Any], settings: Settings, now: float) -> UserRequest | Form | str:
    """Return a person's request or a form to open, or the reason to ignore it. `now` is a Unix timestamp."""
    kind = str(payload.get("type"))
    reader = _READERS.get((kind, _name(kind, payload)))
    return reader(payload, settings, now) if reader else "unknown_interaction"


def _name(kind: str, payload: Mapping[str, Any]) -> str:
    """Return the id of what was used, such as its callback_id. Commands have none: their names are configurable."""
    if kind == "slash_command":
        return ""
    if kind == "block_actions":
        return str(_first_action(payload).get("action_id"))
    if kind == "view_submission":
        return str(object_in(payload.get("view")).get("callback_id"))
    return str(payload.get("callback_id"))


def _check_shortcut(payload: Mapping[str, Any], settings: Settings, now: float) -> UserRequest | str:
    """Parse the shortcut that checks a message in private. If shortcuts are off, the worker says so."""
    message = object_in(payload.get("message"))
    job = job_of(payload, now, "check", ts=payload.get("message_ts") or message.get("ts"))
    url = payload.get("response_url")
    if job is None or not is_response_url(url, settings.api_url):
        return "malformed_interaction"
    detail = {"response_url": str(url)} | _thread(message.get("thread_ts"), job.ts)
    return UserRequest(replace(job, detail=detail), {"message": message} if message and settings.shortcuts else {})


def _slash_command(payload: Mapping[str, Any], settings: Settings, now: float) -> UserRequest | str:
    """Parse a slash command: a text to judge, `help` or `settings`."""
    if not settings.slash_command:
        return "command_off"
    enterprise, grid = payload.get("enterprise_id"), payload.get("is_enterprise_install") == "true"
    nested: dict[str, Any] = {name: {"id": payload.get(f"{name}_id")} for name in ("team", "user", "channel")}
    nested |= {"enterprise": {"id": enterprise}, "is_enterprise_install": grid, "trigger_id": payload.get("trigger_id")}
    job = job_of(nested, now, "command")
    name, text, url = (payload.get(field_name) for field_name in ("command", "text", "response_url"))
    if job is None or not is_response_url(url, settings.api_url) or not _COMMAND.fullmatch(str(name)):
        return "malformed_interaction"
    text = text if isinstance(text, str) else ""
    detail = {"response_url": str(url), "command": str(name)}
    word = text.strip().lower() or "help"
    if word in ("help", "settings"):
        return UserRequest(replace(job, detail=detail | {"word": word}))
    return UserRequest(replace(job, detail=detail), {"text": text})


def _report_shortcut(payload: Mapping[str, Any], settings: Settings, now: float) -> Form | str:
    """Parse the shortcut that opens the report form."""
    from . import report_form  # imports message_words, which takes time

    message = object_in(payload.get("message"))
    url, trigger = payload.get("response_url"), str(payload.get("trigger_id"))
    job = job_of(payload, now, "report", ts=payload.get("message_ts") or message.get("ts"))
    if job is None or not is_response_url(url, settings.api_url):
        return "malformed_interaction"
    view, detail = report_form.switched_off(), {"response_url": str(url)} | _thread(message.get("thread_ts"), job.ts)
    if settings.shortcuts and settings.moderators_channel:
        view = report_form.view(job.channel, job.ts, detail, message, names=settings.reporter_names)
    return report_form.Form(replace(job, detail=detail | {"form": "failed"}), trigger, view)


def _report_submission(payload: Mapping[str, Any], settings: Settings, now: float) -> UserRequest | str:
    """Parse a submitted report form."""
    from . import report_form

    view = object_in(payload.get("view"))
    if not settings.moderators_channel:
        return "reports_off"
    if _is_from_another_app(payload, view):
        return "other_app"
    sent = report_form.report(view)
    if sent is None or not is_response_url(sent.response_url, settings.api_url):
        return "malformed_interaction"
    # The view's id identifies the click: it stays the same if Slack delivers the form twice.
    nested = {**payload, "channel": {"id": sent.channel}, "trigger_id": view.get("id")}
    job = job_of(nested, now, "report", ts=sent.ts)
    if job is None:
        return "malformed_interaction"
    detail = {"response_url": sent.response_url} | _thread(sent.thread_ts, sent.ts)
    return UserRequest(replace(job, detail=detail), {**sent.words, "note": sent.note})


def _card_click(payload: Mapping[str, Any], settings: Settings, now: float) -> UserRequest | str:
    """Parse a moderator's click on a card."""
    channel, card = object_in(payload.get("channel")), object_in(payload.get("container"))
    click = _click(payload, now, "card", channel.get("id"), card.get("message_ts"))
    if isinstance(click, str):
        return click
    job, action = click
    if job.channel != settings.moderators_channel:
        return "other_channel"
    return UserRequest(replace(job, detail=job.detail | {"action": str(action["action_id"])}))


def _feedback_click(payload: Mapping[str, Any], settings: Settings, now: float) -> UserRequest | str:
    """Parse a click on Right or Wrong."""
    from . import feedback

    if not settings.feedback:
        return "feedback_off"
    fields = feedback.read(_first_action(payload).get("value"))
    if fields is None:
        return "malformed_interaction"
    owner, channel, ts, _ = fields["key"].split("/")
    click = _click(payload, now, "feedback", channel, ts)
    if isinstance(click, str):
        return click
    job, _ = click
    if job.owner != owner:
        return "other_installation"
    url = payload.get("response_url")
    answer = {"response_url": str(url)} if is_response_url(url, settings.api_url) else {}
    shown = object_in(payload.get("container"))
    answer |= _thread(shown.get("thread_ts"), shown.get("message_ts"))
    return UserRequest(replace(job, detail=job.detail | fields | answer))


def _click(
    payload: Mapping[str, Any], now: float, kind: str, channel: Any, ts: Any
) -> tuple[Job, Mapping[str, Any]] | str:
    """Return the job for a click on a button, and the button, or the reason to ignore it."""
    action = _first_action(payload)
    if _is_from_another_app(payload, object_in(payload.get("message"))):
        return "other_app"
    if _is_outsider(payload):
        return "outsider"
    job = job_of({**payload, "channel": {"id": channel}}, now, kind, ts=ts)
    at = action.get("action_ts")
    if job is None or not isinstance(at, str) or not TS.fullmatch(at):
        return "malformed_interaction"
    return replace(job, detail={"at": at}), action


def _thread(thread_ts: Any, ts: Any) -> dict[str, str]:
    """Return the thread of the message `ts`, where an answer belongs. Empty if it is not a reply."""
    is_reply = thread_ts != ts and isinstance(thread_ts, str) and TS.fullmatch(thread_ts)
    return {"thread_ts": thread_ts} if is_reply else {}


def _first_action(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    actions = payload.get("actions")
    return object_in(actions[0]) if isinstance(actions, list) and actions else {}


def _is_from_another_app(payload: Mapping[str, Any], shown: Mapping[str, Any]) -> bool:
    """Whether the clicked message or view belongs to another app than the click."""
    app, shown_by = payload.get("api_app_id"), shown.get("app_id")
    return bool(app and shown_by) and app != shown_by


def _is_outsider(payload: Mapping[str, Any]) -> bool:
    """Whether a person is of another organisation, as in a shared channel. Not known in an enterprise."""
    home, team = object_in(payload.get("user")).get("team_id"), object_in(payload.get("team"))
    in_enterprise = payload.get("enterprise") or team.get("enterprise_id")  # home may be the enterprise's id
    return not in_enterprise and bool(home) and home != team.get("id")


_READERS: Mapping[tuple[str, str], Callable[[Mapping[str, Any], Settings, float], UserRequest | Form | str]] = {
    ("message_action", "check_toxicity"): _check_shortcut,
    ("slash_command", ""): _slash_command,
    ("message_action", "report_message"): _report_shortcut,
    ("view_submission", "report"): _report_submission,
    ("block_actions", "verdict_feedback"): _feedback_click,
    **{("block_actions", f"report_{action}"): _card_click for action in ("look", "resolved", "no_problem")},
}


def job_of(payload: Mapping[str, Any], now: float, kind: str, *, ts: Any = "") -> Job | None:
    """Return the job for an interaction, or None if an id is missing. Its `event_id` is the id of the click."""
    user = object_in(payload.get("user"))
    team = object_in(payload.get("team")).get("id") or user.get("team_id")
    ids = team, object_in(payload.get("channel")).get("id"), user.get("id")
    trigger = payload.get("trigger_id")
    if not all(isinstance(value, str) and ID.fullmatch(value) for value in ids):
        return None
    if not isinstance(trigger, str) or not _TRIGGER.fullmatch(trigger):
        return None
    if kind != "command" and not (isinstance(ts, str) and TS.fullmatch(ts)):
        return None
    enterprise = object_in(payload.get("enterprise")).get("id")
    grid = payload.get("is_enterprise_install") is True and isinstance(enterprise, str) and ID.fullmatch(enterprise)
    team, channel, person = map(str, ids)
    return Job(team, channel, ts, person, trigger, int(now), str(enterprise) if grid else team, kind)


def is_response_url(url: Any, api_url: str) -> bool:
    """Whether a URL is one of Slack's response URLs: on the host of the Web API at `api_url`, or its `hooks.` host."""
    if not isinstance(url, str) or not url.isascii() or re.search(r"[\s\\@]", url):
        return False
    try:
        address, api = urlsplit(url), urlsplit(api_url)
    except ValueError:
        return False
    hosts = (api.netloc, f"hooks.{api.netloc}")
    return address.scheme == api.scheme and address.netloc in hosts and len(url) <= 500
