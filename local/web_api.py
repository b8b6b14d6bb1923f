"""Slack's Web API for a workspace, without HTTP.

Errors and their order follow docs.slack.dev/reference/methods and measurements. It is stricter than Slack in one way:
Slack ignores unknown arguments. Here, arguments that slack_sdk's client does not have are `invalid_arguments`.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slack_sdk.web.client import WebClient

from local import block_kit
from local.workspace import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.workspace import Channel, Message, Workspace

Arguments = dict[str, Any]
Answer = dict[str, Any]

HISTORY_SCOPES = {"public": "channels:history", "private": "groups:history", "im": "im:history"}
MAX_TEXT_CHARACTERS = 40_000
MAX_UPDATED_CHARACTERS = 4_000
MAX_METADATA_BYTES = 8_000  # Slack's limit is not published
_TS = re.compile(r"(\d{1,10})(?:\.(\d{1,6}))?")
_TRUE, _FALSE = (True, "1", "true"), (False, None, "", "0", "false")


def invalid_arguments(*errors: str, code: str = "invalid_arguments", **details: Any) -> RefusedError:
    messages = [f"[ERROR] {error}" for error in errors]
    return RefusedError(code, response_metadata={"messages": messages}, **details)


@dataclass(frozen=True)
class Method:
    """A method. The app needs one of `scopes`. Methods that only read ignore JSON bodies."""

    run: Callable[[WebApi, Arguments], Answer]
    scopes: tuple[str, ...] = ()
    takes_json: bool = False


class WebApi:
    """The methods. One call returns at most `max_page` messages."""

    def __init__(self, workspace: Workspace, max_page: int = 1000) -> None:
        self.workspace = workspace
        self.max_page = max_page

    def call(self, name: str, token: str | None, arguments: Arguments) -> Answer:
        """Return Slack's answer. Raises RefusedError. Checks method, token, scope and arguments in Slack's order."""
        if name not in METHODS:
            raise RefusedError("unknown_method", req_method=name)
        if not token:
            raise RefusedError("not_authed")
        if refusal := self.workspace.token_refusal(token):
            raise RefusedError(refusal)
        method = METHODS[name]
        if method.scopes and self.workspace.scopes.isdisjoint(method.scopes):
            raise self._missing_scope(",".join(method.scopes))
        _check(name, arguments)
        return {"ok": True, **method.run(self, arguments)}

    def auth_test(self, _arguments: Arguments) -> Answer:
        me = self.workspace.identity
        answer = {"url": f"https://{me.team_name}.slack.com/", "team": me.team_name, "user": me.bot_name}
        answer |= {"team_id": me.team_id, "user_id": me.bot_user_id, "bot_id": me.bot_id}
        enterprise = {"enterprise_id": me.enterprise_id} if me.enterprise_id else {}
        return answer | enterprise | {"is_enterprise_install": False}

    def emoji_list(self, _arguments: Arguments) -> Answer:
        """Return the custom emoji. Slack never returns the standard ones."""
        return {"emoji": dict(self.workspace.emoji)}

    def conversations_history(self, arguments: Arguments) -> Answer:
        """Return top-level messages, newest first. With `latest` alone, the first one can be older than wanted."""
        channel = self._readable(arguments["channel"])
        messages = [message for message in self.workspace.conversation(channel.id) if _is_top_level(message)]
        bounds = {name: arguments[name] for name in ("oldest", "latest") if name in arguments}
        return bounds | _page(_within(arguments, messages)[::-1], arguments, 100, self.max_page) | {"pin_count": 0}

    def conversations_replies(self, arguments: Arguments) -> Answer:
        """Return a root and its replies within the bounds. For the ts of a reply, return only that reply."""
        channel = self._readable(arguments["channel"])
        try:
            root, *replies = self.workspace.thread(channel.id, arguments["ts"])
        except RefusedError as error:
            raise RefusedError("thread_not_found") from error
        return _page([root, *_within(arguments, replies)], arguments, 1000, self.max_page)

    def reactions_get(self, arguments: Arguments) -> Answer:
        if not arguments.get("channel") or not arguments.get("timestamp"):
            raise RefusedError("no_item_specified")
        channel = self._joined(arguments["channel"])
        if not _TS.fullmatch(str(arguments["timestamp"])):
            raise RefusedError("bad_timestamp")
        message = _without_metadata(self.workspace.message(channel.id, arguments["timestamp"]))
        link = {"permalink": self._permalink(channel.id, message)}
        return {"type": "message", "channel": channel.id, "message": message | link}

    def chat_delete(self, arguments: Arguments) -> Answer:
        channel = self._visible(arguments["channel"])
        message = self.workspace.message(channel.id, arguments["ts"])
        if message.get("bot_id") != self.workspace.identity.bot_id:
            raise RefusedError("cant_delete_message")
        self.workspace.delete(channel.id, message["ts"])
        return {"channel": channel.id, "ts": message["ts"]}

    def chat_get_permalink(self, arguments: Arguments) -> Answer:
        channel = self._visible(arguments["channel"])
        message = self.workspace.message(channel.id, arguments["message_ts"])
        return {"channel": channel.id, "permalink": self._permalink(channel.id, message)}

    def chat_post_message(self, arguments: Arguments) -> Answer:
        channel = self._destination(arguments["channel"])
        content = message_content(arguments)
        text, thread_ts = content["text"], _thread_ts(arguments)
        self._check_post(channel, thread_ts)
        content |= {"text": text[:MAX_TEXT_CHARACTERS], "metadata": _metadata(arguments.get("metadata"))}
        message = self.workspace.post(channel.id, self.workspace.identity.bot_user_id, thread_ts=thread_ts, **content)
        answer = {"channel": channel.id, "ts": message["ts"], "message": message}
        if len(text) <= MAX_TEXT_CHARACTERS:
            return answer
        return answer | {"warning": "message_truncated", "response_metadata": {"warnings": ["message_truncated"]}}

    def chat_post_ephemeral(self, arguments: Arguments) -> Answer:
        channel = self._visible(arguments["channel"])
        content = message_content(arguments)
        if len(content["text"]) > MAX_TEXT_CHARACTERS:
            raise RefusedError("msg_too_long")
        thread_ts = _thread_ts(arguments)
        self._check_post(channel, thread_ts)
        if arguments["user"] not in channel.members:
            raise RefusedError("user_not_in_channel")
        shown = {"channel": channel.id, "user": arguments["user"], "thread_ts": thread_ts}
        return {"message_ts": self.workspace.show(shown | content)["ts"]}

    def chat_update(self, arguments: Arguments) -> Answer:
        """Change a message of the app. Its metadata stays. Its blocks stay if the call has no text."""
        channel = self._visible(arguments["channel"])
        message = self.workspace.message(channel.id, arguments["ts"])
        if message.get("bot_id") != self.workspace.identity.bot_id:
            raise RefusedError("cant_update_message")
        if channel.archived:
            raise RefusedError("is_inactive")
        content = message_content(arguments)
        if len(content["text"]) > MAX_UPDATED_CHARACTERS:
            raise RefusedError("msg_too_long")
        blocks = content["blocks"] or (None if content["text"] else message.get("blocks"))
        changed = self.workspace.edit(channel.id, message["ts"], content["text"], blocks=blocks)
        return {"channel": channel.id, "ts": changed["ts"], "text": changed["text"], "message": changed}

    def views_open(self, arguments: Arguments) -> Answer:
        view = _parsed(arguments["view"], "invalid_arguments")
        return {"view": self.workspace.views.show(arguments.get("trigger_id"), view)}

    def _missing_scope(self, needed: str) -> RefusedError:
        return RefusedError("missing_scope", needed=needed, provided=",".join(sorted(self.workspace.scopes)))

    def _visible(self, channel_id: str) -> Channel:
        """Return a channel. Raises the same error for a private channel without the bot as for an unknown one."""
        channel = self.workspace.channel(channel_id)
        if channel.kind != "public" and self.workspace.identity.bot_user_id not in channel.members:
            raise RefusedError("channel_not_found")
        return channel

    def _joined(self, channel_id: str) -> Channel:
        channel = self._visible(channel_id)
        if self.workspace.identity.bot_user_id not in channel.members:
            raise RefusedError("not_in_channel")
        return channel

    def _readable(self, channel_id: str) -> Channel:
        scope = HISTORY_SCOPES[self._visible(channel_id).kind]
        if scope not in self.workspace.scopes:
            raise self._missing_scope(scope)
        return self._joined(channel_id)

    def _destination(self, name: str) -> Channel:
        """Return the channel with this id or name, or the direct conversation with the person who has this id."""
        if any(user.id == name for user in self.workspace.users):
            return self.workspace.channel(self.workspace.open_im(name))
        named = [one.id for one in self.workspace.channels if one.kind != "im" and one.name == name.removeprefix("#")]
        return self._visible(named[0] if named else name)

    def _check_post(self, channel: Channel, thread_ts: str | None) -> None:
        if refusal := self.workspace.posting_refusal(channel.id, self.workspace.identity.bot_user_id, thread_ts):
            raise RefusedError(refusal)

    def _permalink(self, channel_id: str, message: Message) -> str:
        archive = f"https://{self.workspace.identity.team_name}.slack.com/archives/{channel_id}"
        thread = f"?thread_ts={message['thread_ts']}&cid={channel_id}" if "thread_ts" in message else ""
        return f"{archive}/p{message['ts'].replace('.', '')}{thread}"


_READ, _WRITE = (*HISTORY_SCOPES.values(), "mpim:history"), ("chat:write",)
METHODS = {
    "auth.test": Method(WebApi.auth_test, takes_json=True),
    "chat.delete": Method(WebApi.chat_delete, _WRITE, takes_json=True),
    "chat.getPermalink": Method(WebApi.chat_get_permalink),
    "chat.postEphemeral": Method(WebApi.chat_post_ephemeral, _WRITE, takes_json=True),
    "chat.postMessage": Method(WebApi.chat_post_message, _WRITE, takes_json=True),
    "chat.update": Method(WebApi.chat_update, _WRITE, takes_json=True),
    "conversations.history": Method(WebApi.conversations_history, _READ),
    "conversations.replies": Method(WebApi.conversations_replies, _READ),
    "emoji.list": Method(WebApi.emoji_list, ("emoji:read",)),
    "reactions.get": Method(WebApi.reactions_get, ("reactions:read",)),
    "views.open": Method(WebApi.views_open, takes_json=True),
}


def _check(name: str, arguments: Arguments) -> None:
    """Check the argument names against those of slack_sdk's client."""
    parameters = inspect.signature(getattr(WebClient, name.replace(".", "_"))).parameters
    known = {one.name: one.default is one.empty for one in parameters.values() if one.kind is one.KEYWORD_ONLY}
    missing = [f"missing required field: {one}" for one, required in known.items() if required and one not in arguments]
    unknown = [f"unknown argument: {one}" for one in arguments if one not in known]
    if missing or unknown:
        raise invalid_arguments(*missing, *unknown)


def message_content(arguments: Arguments) -> dict[str, Any]:
    """Return the text, blocks and attachments of a message. Raises RefusedError if Slack would refuse them."""
    blocks = _parsed(arguments.get("blocks"), "invalid_blocks_format")
    attachments = _parsed(arguments.get("attachments"), "invalid_attachments")
    text, markdown = arguments.get("text") or "", arguments.get("markdown_text")
    if markdown and (text or blocks):
        raise RefusedError("markdown_text_conflict")
    if not isinstance(text, str):
        raise invalid_arguments("must be a string [json-pointer:/text]")
    if not (text.strip() or markdown or blocks or attachments):
        raise RefusedError("no_text")
    if found := block_kit.block_errors(blocks or []):
        raise invalid_arguments(*found, code="invalid_blocks", errors=found)
    if block_kit.characters(blocks) > block_kit.MAX_CHARACTERS:
        raise RefusedError("msg_blocks_too_long")
    return {"text": text or markdown or "", "blocks": blocks, "attachments": attachments}


def _parsed(value: Any, refusal: str) -> Any:
    """Return `value`, decoded if it is a JSON string."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise RefusedError(refusal) from error


def _parsed_ts(ts: Any, refusal: str) -> tuple[int, int]:
    found = _TS.fullmatch(str(ts))
    if found is None:
        raise RefusedError(refusal)
    return int(found[1]), int((found[2] or "0").ljust(6, "0"))


def _is_top_level(message: Message) -> bool:
    return message.get("thread_ts", message["ts"]) == message["ts"] or message.get("subtype") == "thread_broadcast"


def _within(arguments: Arguments, messages: list[Message]) -> list[Message]:
    """Return the messages between the bounds. The bounds are exclusive unless `inclusive` is set."""
    oldest = _parsed_ts(arguments.get("oldest") or "0", "invalid_ts_oldest")
    latest = _parsed_ts(arguments.get("latest") or "9999999999", "invalid_ts_latest")
    edges = (oldest, latest) if _flag(arguments, "inclusive") else ()
    instants = [_parsed_ts(message["ts"], "") for message in messages]
    return [message for message, ts in zip(messages, instants, strict=True) if oldest < ts < latest or ts in edges]


def _page(messages: list[Message], arguments: Arguments, limit: int, largest: int) -> Answer:
    """Return one page. The cursor is the ts of the first message on the next page."""
    try:
        limit = int(arguments.get("limit", limit))
    except (TypeError, ValueError) as error:
        raise RefusedError("invalid_limit") from error
    if not 1 <= limit <= 1000:
        raise RefusedError("invalid_limit")
    limit = min(limit, largest)
    stamps, start = [message["ts"] for message in messages], 0
    if cursor := arguments.get("cursor"):
        if cursor not in stamps:
            raise RefusedError("invalid_cursor")
        start = stamps.index(cursor)
    page, rest = messages[start : start + limit], messages[start + limit :]
    if not _flag(arguments, "include_all_metadata"):
        page = [_without_metadata(message) for message in page]
    next_page = {"response_metadata": {"next_cursor": rest[0]["ts"]}} if rest else {}
    return {"messages": page, "has_more": bool(rest)} | next_page


def _without_metadata(message: Message) -> Message:
    return {name: value for name, value in message.items() if name != "metadata"}


def _flag(arguments: Arguments, name: str) -> bool:
    value = arguments.get(name)
    if value not in (*_TRUE, *_FALSE):
        raise invalid_arguments(f"must be a valid boolean [json-pointer:/{name}]")
    return value in _TRUE


def _thread_ts(arguments: Arguments) -> str | None:
    thread_ts = arguments.get("thread_ts") or None
    if thread_ts is not None and not _TS.fullmatch(str(thread_ts)):
        raise RefusedError("invalid_thread_ts")
    return thread_ts


def _metadata(value: Any) -> dict[str, Any] | None:
    metadata = _parsed(value or None, "invalid_metadata_format")
    if metadata is None:
        return None
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
        raise RefusedError("invalid_metadata_format")
    kind, payload = metadata["event_type"], metadata["event_payload"]
    # Slack drops metadata if the event type contains a period: slackapi/bolt-python#863 on GitHub.
    if not re.fullmatch(r"[A-Za-z0-9_-]+", str(kind)) or not isinstance(payload, dict):
        raise RefusedError("invalid_metadata_format")
    if len(str(metadata).encode()) > MAX_METADATA_BYTES:
        raise RefusedError("metadata_too_large")
    return metadata
