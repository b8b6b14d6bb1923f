"""Shortcuts, slash commands, clicks and modals: the payloads that Slack sends, and the response URLs for answers.

https://docs.slack.dev/reference/interaction-payloads
https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
"""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.block_kit import escaped
from local.faults import Reply
from local.web_api import message_content
from local.workspace import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.workspace import Message, Workspace

Payload = dict[str, Any]
VALID_SECONDS = 30 * 60
MAX_ANSWERS = 5
_KNOWN = {"text", "blocks", "attachments", "response_type", "replace_original", "delete_original", "thread_ts"}


@dataclass
class _ResponseUrl:
    """A response URL: the channel and the person who see its answers, its expiry, and its answers so far."""

    channel: str
    user: str
    until: float
    answers: int = 0


def _refused(status: int, error: str) -> Reply:
    return Reply.of({"ok": False, "error": error}, status)


class Interactions:
    """Returns Slack's payload for each interaction. The response URLs start with `address`."""

    def __init__(self, workspace: Workspace, address: str = "") -> None:
        self.workspace = workspace
        self.address = address
        self._response_urls: dict[str, _ResponseUrl] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def respond(self, path: str, body: bytes) -> Reply:
        """Show an answer, or refuse it as Slack does, with status 404 or 400."""
        with self._lock:
            place = self._response_urls.get(path)
            if place is None or self.workspace.clock() > place.until:
                return _refused(404, "expired_url")
            if place.answers == MAX_ANSWERS:
                return _refused(404, "used_url")
            try:
                answer = json.loads(body)
            except ValueError:
                return _refused(400, "invalid_payload")
            if not isinstance(answer, dict) or answer.keys() - _KNOWN:
                return _refused(400, "invalid_payload")
            try:
                content = message_content(answer)
            except RefusedError as error:
                return _refused(400, error.code)
            place.answers += 1
            if answer.get("response_type") == "in_channel":
                self.workspace.post(place.channel, self.workspace.identity.bot_user_id, **content)
            else:
                where = {"channel": place.channel, "user": place.user, "thread_ts": answer.get("thread_ts")}
                self.workspace.show(where | content)
        return Reply(200, b"ok", {"Content-Type": "text/plain"})

    def _response_url(self, channel: str, user: str) -> str:
        """Return a URL for five answers within half an hour. The app need not be in the channel."""
        with self._lock:
            path = f"/responses/{next(self._numbers)}"
            self._response_urls[path] = _ResponseUrl(channel, user, self.workspace.clock() + VALID_SECONDS)
        return self.address + path

    def message_action(self, callback_id: str, channel: str, ts: str, user: str) -> Payload:
        """Return the payload of a shortcut on a message. The person must be in the channel; the app need not."""
        self._check_scope()
        place = self.workspace.channel(channel)
        return self._envelope("message_action", user) | {
            "action_ts": f"{self.workspace.clock():.6f}",
            "channel": {"id": channel, "name": "directmessage" if place.kind == "im" else place.name},
            "callback_id": callback_id,
            "trigger_id": self.workspace.views.trigger(user),
            "response_url": self._response_url(channel, user),
            "message_ts": ts,
            "message": self.workspace.message(channel, ts),
        }

    def slash_command(self, text: str, channel: str, user: str, command: str = "/toxicity") -> Payload:
        """Return the fields of a slash command, all strings, and the `type` that the receiver adds."""
        self._check_scope()
        place, me = self.workspace.channel(channel), self.workspace.identity
        grid = {"enterprise_id": me.enterprise_id, "enterprise_name": me.team_name} if me.enterprise_id else {}
        return grid | {
            "type": "slash_command",
            "token": me.verification_token,
            "team_id": me.team_id,
            "team_domain": me.team_name,
            "channel_id": channel,
            "channel_name": "directmessage" if place.kind == "im" else place.name,
            "user_id": user,
            "user_name": self.workspace.user(user).name,
            "command": command,
            "text": escaped(text),
            "api_app_id": me.app_id,
            "is_enterprise_install": "false",
            "response_url": self._response_url(channel, user),
            "trigger_id": self.workspace.views.trigger(user),
        }

    def click(self, channel: str, ts: str, user: str, action_id: str, value: str = "") -> Payload:
        """Return the payload of a click on the button with this id, and with this `value` if two share the id.

        Raises RefusedError if there is no such button, or if the person is not in the channel.
        """
        place = self.workspace.channel(channel)
        private = [one for one in self.workspace.ephemerals if one["ts"] == ts]
        shown = private[0] if private else self.workspace.message(channel, ts)
        if user not in place.members:
            raise RefusedError("user_not_in_channel")
        found = (one for one in buttons(shown) if one[1]["action_id"] == action_id)
        clicked = next((one for one in found if value in ("", one[2].get("value"))), None)
        if not clicked:
            raise RefusedError("no_such_button")
        block, element, button = clicked
        action = {
            "type": element["type"],
            "action_id": action_id,
            "block_id": block["block_id"],
            "text": button["text"],
            "value": button.get("value", ""),
            "action_ts": self.workspace.new_ts(),
        }
        where = {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": bool(private)}
        where |= {"thread_ts": shown["thread_ts"]} if shown.get("thread_ts") else {}
        # For an ephemeral message, Slack sends only its place.
        about = {"channel": {"id": channel, "name": place.name}} | ({} if private else {"message": shown})
        return (
            self._envelope("block_actions", user)
            | about
            | {
                "trigger_id": self.workspace.views.trigger(user),
                "container": where,
                "state": {"values": {}},
                "response_url": self._response_url(channel, user),
                "actions": [action],
            }
        )

    def send_form(self, user: str, **values: str) -> Payload:
        """Submit the open modal of a person, and return the payload. `values` are the typed texts by action id."""
        shown = self.workspace.views.submit(self._form_of(user), values)
        trigger = {"trigger_id": self.workspace.views.trigger(user)}
        return self._envelope("view_submission", user) | trigger | {"view": shown.view, "response_urls": []}

    def close_form(self, user: str) -> Payload | None:
        """Close the open modal of a person. Return the payload if the view has `notify_on_close`, else None."""
        shown = self.workspace.views.close(self._form_of(user))
        payload = self._envelope("view_closed", user) | {"view": shown.view, "is_cleared": False}
        return payload if shown.view.get("notify_on_close") else None

    def _form_of(self, user: str) -> str:
        for view_id, shown in self.workspace.views.open.items():
            if shown.user == user:
                return view_id
        raise RefusedError("not_found")

    def _check_scope(self) -> None:
        """Raise RefusedError if the app lacks the scope `commands`, which shortcuts and commands need."""
        if "commands" not in self.workspace.scopes:
            raise RefusedError("missing_scope", needed="commands")

    def _envelope(self, kind: str, user: str) -> Payload:
        me, person = self.workspace.identity, self.workspace.user(user)
        return {
            "type": kind,
            "user": {"id": user, "username": person.name, "name": person.name, "team_id": person.team_id or me.team_id},
            "api_app_id": me.app_id,
            "token": me.verification_token,
            "team": {"id": me.team_id, "domain": me.team_name},
            "enterprise": {"id": me.enterprise_id, "name": me.team_name} if me.enterprise_id else None,
            "is_enterprise_install": False,
        }


def buttons(message: Message) -> Iterator[tuple[Payload, Payload, Payload]]:
    """Yield each button of a message with its block and its element."""
    for block in message.get("blocks") or ():
        for element in block.get("elements") or () if block["type"] in ("actions", "context_actions") else ():
            if element["type"] == "feedback_buttons":
                yield block, element, element["positive_button"]
                yield block, element, element["negative_button"]
            else:
                yield block, element, element
