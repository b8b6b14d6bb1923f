"""The addresses at which an app answers a shortcut or a command: valid for half an hour, for five answers.

https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
"""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local import block_kit
from local.faults import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.workspace import Workspace

VALID_SECONDS = 30 * 60
MOST_ANSWERS = 5
_KNOWN = {"text", "blocks", "attachments", "response_type", "replace_original", "delete_original", "thread_ts"}


@dataclass
class _Place:
    """Who answers are shown to, and where."""

    channel: str
    user: str
    until: float
    answers: int = 0


class ResponseUrls:
    """Hands out addresses below `address` and takes the answers to them."""

    def __init__(self, workspace: Callable[[], Workspace], address: str = "") -> None:
        self.address = address
        self._workspace = workspace
        self._places: dict[str, _Place] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def new(self, channel: str, user: str) -> str:
        """Return an address for answers to one interaction; the app need not be in the channel."""
        with self._lock:
            path = f"/responses/{next(self._numbers)}"
            self._places[path] = _Place(channel, user, self._workspace().clock() + VALID_SECONDS)
        return self.address + path

    def take(self, path: str, body: bytes) -> Reply:
        """Show an answer, or refuse it as Slack does: in text, with status 404 or 400."""
        with self._lock:
            place = self._places.get(path)
            if place is None or self._workspace().clock() > place.until:
                return _refused(404, "expired_url")
            if place.answers == MOST_ANSWERS:
                return _refused(404, "used_url")
            try:
                answer = json.loads(body)
            except ValueError:
                return _refused(400, "invalid_payload")
            if not isinstance(answer, dict) or answer.keys() - _KNOWN:
                return _refused(400, "invalid_payload")
            if not answer.get("text") and not answer.get("blocks"):
                return _refused(400, "no_text")
            if block_kit.complaints(answer.get("blocks") or []):
                return _refused(400, "invalid_blocks")
            place.answers += 1
            self._show(place, answer)
        return Reply(200, b"ok", {"Content-Type": "text/plain"})

    def _show(self, place: _Place, answer: dict[str, Any]) -> None:
        workspace, text, blocks = self._workspace(), answer.get("text", ""), answer.get("blocks")
        if answer.get("response_type") == "in_channel":
            workspace.post(place.channel, workspace.identity.bot_user_id, text, blocks=blocks)
        else:
            where = {"channel": place.channel, "user": place.user, "thread_ts": answer.get("thread_ts")}
            workspace.show(where | {"text": text, "blocks": blocks, "attachments": answer.get("attachments")})


def _refused(status: int, error: str) -> Reply:
    return Reply.of({"ok": False, "error": error}, status)
