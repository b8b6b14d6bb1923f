"""The form of the shortcut "Report to moderators": its fields, and the data that it stores until it is submitted.

Slack stores the ids and the beginning of the message in the form itself, so that they are stored nowhere else, and
returns them with the note. The functions are pure. https://docs.slack.dev/reference/views/modal-views
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .message_words import Words, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .jobs import Job

CALLBACK_ID = "report"
MAX_NOTE_CHARACTERS = 1000
MAX_TEXT_CHARACTERS = 2500
MAX_METADATA_CHARACTERS = 3000  # Slack's limit
_NOTE = "note"
_TITLE = "Report to moderators"


@dataclass(frozen=True)
class Form:
    """A form to open with this trigger id. If that fails, `job` tells the person."""

    job: Job
    trigger_id: str
    view: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Report:
    """A submitted form, with the ids of the message that it is about."""

    channel: str
    ts: str
    response_url: str
    thread_ts: str
    """Empty if the message is not a reply."""
    words: Mapping[str, Any] = field(repr=False)
    note: str = field(repr=False)


def view(
    channel: str, ts: str, detail: Mapping[str, str], message: Mapping[str, Any], *, names: bool
) -> dict[str, Any]:
    """Return the form for a message. `names` says whether the moderators learn who reports.

    `detail` has the `response_url` and, for a reply, the `thread_ts`.
    """
    who = "They see your name." if names else "They are not told who you are."
    intro = f"The moderators get a link to this message, a model's verdict on it, and your note. {who}"
    element = {
        "type": "plain_text_input",
        "action_id": _NOTE,
        "multiline": True,
        "max_length": MAX_NOTE_CHARACTERS,
        "placeholder": _plain("What should they know?"),
    }
    note = {"type": "input", "block_id": _NOTE, "optional": True, "label": _plain("Note"), "element": element}
    ids = {"channel": channel, "ts": ts, **detail}
    form = _modal(f"{intro} The author and the channel will not see this report.", note)
    stored = {"private_metadata": _private_metadata(ids, read(message))}
    return form | stored | {"submit": _plain("Report"), "close": _plain("Cancel")}


def switched_off() -> dict[str, Any]:
    """Return the view that is shown instead of the form if shortcuts are off or no moderators' channel is set."""
    return _modal("Reports are not set up here. Please write to your moderators yourself.") | {"close": _plain("Close")}


def report(view: Mapping[str, Any]) -> Report | None:
    """Parse a submitted form. Returns None if it does not match the form that was shown."""
    try:
        stored = json.loads(view["private_metadata"])
        value = view["state"]["values"][_NOTE][_NOTE].get("value")
        channel, ts, response_url = ids = [stored[name] for name in ("channel", "ts", "response_url")]
        thread_ts = stored.get("thread_ts", "")
        words = {name: stored[name] for name in ("own", "quoted", "code", "whole")}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return None
    if not all(isinstance(text, str) for text in (*ids, thread_ts, words["own"], words["quoted"])):
        return None
    note = value[:MAX_NOTE_CHARACTERS] if isinstance(value, str) else ""
    return Report(channel, ts, response_url, thread_ts, words, note)


def words_of(stored: Mapping[str, Any]) -> Words:
    """Return the words of the message that a form stores."""
    return Words(
        str(stored["own"]), str(stored["quoted"]), "code" if stored.get("code") else "", bool(stored.get("whole"))
    )


def _private_metadata(ids: Mapping[str, str], words: Words) -> str:
    """Return the ids and as many words, from the beginning, as Slack can store."""
    room = MAX_TEXT_CHARACTERS
    while True:
        own = words.own[:room]
        quoted = words.quoted[: room - len(own)]
        whole = words.whole and (own, quoted) == (words.own, words.quoted)
        stored = {**ids, "own": own, "quoted": quoted, "code": bool(words.code), "whole": whole}
        text = json.dumps(stored, ensure_ascii=False, separators=(",", ":"))
        # Count UTF-16 units, in which an emoji counts twice: Slack does not document what it counts.
        if len(text.encode("utf-16-le", "surrogatepass")) // 2 <= MAX_METADATA_CHARACTERS:
            return text
        room = room * 3 // 4


def _modal(text: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    section = {"type": "section", "text": _plain(text)}
    return {"type": "modal", "callback_id": CALLBACK_ID, "title": _plain(_TITLE), "blocks": [section, *blocks]}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}
