"""What people do in the local Slack, as JSON over HTTP: POST /local/post and /local/react, GET what there is.

Where deliveries are configured, a reaction is also delivered to the bot; the answer holds the result of each attempt.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local.events import event_callback
from local.rich_text import escaped
from local.workspace import RefusedError

if TYPE_CHECKING:
    from local.events import Deliveries
    from local.workspace import Workspace

Answer = dict[str, Any]


class BadFieldError(Exception):
    """Raised if a request lacks a field or has one that cannot be read."""


class Control:
    def __init__(self, workspace: Workspace, deliveries: Deliveries | None) -> None:
        self.workspace = workspace
        self.deliveries = deliveries

    def answer(self, verb: str, path: str, channels: list[str], body: bytes) -> tuple[int, Answer]:
        """Return the HTTP status and the answer; 400 names the wrong field, 404 the paths that exist."""
        try:
            if (verb, path) == ("POST", "/local/post"):
                return 200, self._post(_fields(body, "channel user text", "thread_ts blocks attachments"))
            if (verb, path) == ("POST", "/local/react"):
                return 200, self._react(_fields(body, "channel ts user emoji", ""))
            if (verb, path) == ("GET", "/local/conversation"):
                return 200, self._conversation(channels)
            if (verb, path) == ("GET", "/local/workspace"):
                return 200, self._workspace()
        except BadFieldError as error:
            return 400, {"ok": False, "error": str(error)}
        except RefusedError as error:
            return 400, {"ok": False, "error": error.code}
        known = "POST /local/post, POST /local/react, GET /local/conversation?channel=..., GET /local/workspace"
        return 404, {"ok": False, "error": f"{verb} {path} does not exist; there are {known}"}

    def _post(self, fields: dict[str, Any]) -> Answer:
        """Post a message as a person who types it: nothing in it is markup."""
        channel, user, text = fields.pop("channel"), fields.pop("user"), fields.pop("text")
        return {"ok": True, "message": self.workspace.post(channel, user, escaped(text), **fields)}

    def _react(self, fields: dict[str, Any]) -> Answer:
        emoji = fields.pop("emoji").strip(":")
        event = self.workspace.react(fields["channel"], fields["ts"], fields["user"], emoji)
        answer: Answer = {"ok": True, "event": event}
        if self.deliveries is None:
            return answer
        shared = self.workspace.channel(fields["channel"]).is_ext_shared
        attempts = self.deliveries.send(event_callback(event, self.workspace.identity, is_ext_shared=shared))
        told = [{"status": one.status, "seconds": round(one.seconds, 3), "failure": one.failure} for one in attempts]
        return answer | {"deliveries": told}

    def _conversation(self, channels: list[str]) -> Answer:
        if len(channels) != 1:
            raise BadFieldError("channel is missing: ask for /local/conversation?channel=C...")
        return {"ok": True, "messages": self.workspace.conversation(channels[0])}

    def _workspace(self) -> Answer:
        users = [{"id": user.id, "name": user.name, "is_bot": bool(user.bot_id)} for user in self.workspace.users]
        channels = [{"id": one.id, "name": one.name, "kind": one.kind} for one in self.workspace.channels]
        return {"ok": True, "bot_user_id": self.workspace.identity.bot_user_id, "users": users, "channels": channels}


def _fields(body: bytes, required: str, optional: str) -> dict[str, Any]:
    """Return the JSON object in `body`; raises BadFieldError with the field that is missing, unknown or no text."""
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise BadFieldError("the body is not JSON") from error
    if not isinstance(fields, dict):
        raise BadFieldError(f"the body is not a JSON object with {required}")
    for name in required.split():
        if not isinstance(fields.get(name), str):
            raise BadFieldError(f"{name} is missing or not a string; required are: {required}")
    for name in fields:
        if name not in f"{required} {optional}".split():
            raise BadFieldError(f"{name} is unknown; known are: {required} {optional}")
    return fields
