"""Turn an event about a message in a watched channel into a job, or return the reason to ignore it.

The event contains the message's text, before and after an edit. The two are compared and not kept: the job has only
ids. The functions are pure.
https://docs.slack.dev/reference/events/message
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .reactions import TS, bot_users, job_of, object_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .jobs import Job
    from .settings import Settings

# Seconds that a job waits on the queue, so that one call to Slack reads all messages posted in the meantime.
DELAY_SECONDS = 15
EDITED, DELETED = "edited", "deleted"
# Subtypes of messages that people write. A plain message has none.
_BY_PEOPLE = ("", "thread_broadcast", "me_message", "file_share")


def is_of_message(payload: Mapping[str, Any]) -> bool:
    """Whether an event says that a message was posted, edited or deleted."""
    return payload.get("type") == "event_callback" and object_in(payload.get("event")).get("type") == "message"


def job_or_reason(payload: Mapping[str, Any], settings: Settings, now: float) -> Job | str:
    """Return the job for a message event, or the reason to ignore it. `now` is a Unix timestamp."""
    event = object_in(payload.get("event"))
    if event.get("channel") not in settings.channels.watched():
        return "not_watched"
    message, change = _changed(event)
    if change is None:
        return "not_edited"
    if not by_person(message) or message.get("user") in bot_users(payload):
        return "not_by_a_person"
    job = job_of(payload, event.get("channel"), message.get("ts"), message.get("user"))
    if job is None:
        return "malformed_event"
    if now - job.event_time > settings.max_event_age:
        return "late_event"
    thread_ts = message.get("thread_ts")
    in_thread = isinstance(thread_ts, str) and TS.fullmatch(thread_ts) and thread_ts != job.ts
    detail = {"thread_ts": thread_ts if in_thread else "", "change": change}
    return replace(job, kind="watch", detail={name: str(value) for name, value in detail.items() if value})


def by_person(message: Mapping[str, Any]) -> bool:
    """Whether a person wrote a message, rather than a bot, a webhook or Slack itself."""
    return not message.get("bot_id") and bool(message.get("user")) and (message.get("subtype") or "") in _BY_PEOPLE


def _changed(event: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """Return the message of an event and the kind of change; None if only Slack changed it, as for a preview."""
    kind = event.get("subtype")
    message, before = object_in(event.get("message")), object_in(event.get("previous_message"))
    # A deleted message that has replies leaves a tombstone.
    if kind == "message_deleted" or message.get("subtype") == "tombstone":
        return {**before, "ts": event.get("deleted_ts") or before.get("ts")}, DELETED
    if kind == "message_changed":
        # `edited` is in whole seconds, so it alone would miss the second of two edits within one second.
        same = all(message.get(name) == before.get(name) for name in ("edited", "text", "blocks"))
        return message, None if same else EDITED
    return event, ""
