"""Slack's markup: escape text, and convert it into the `rich_text` block that Slack stores with it.

Blocks have text, link, mention and emoji elements. Bold, lists and quotes stay plain text.
"""

from __future__ import annotations

import re
from typing import Any

# https://docs.slack.dev/messaging/formatting-message-text: mentions, channels, commands, links.
_CONTROL = re.compile(r"<(?P<body>[@#!][A-Za-z0-9^|_.\- ]+[^<>]*|(?:https?://|mailto:|tel:)[^<>]+)>")
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt);)")
_EMOJI = re.compile(r":(?P<name>[a-z0-9_+'\-]+(?:::skin-tone-[2-6])?):")


def escaped(text: str) -> str:
    """Return what Slack stores when a person types `text`: nothing in it is markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def stored(text: str) -> str:
    """Return what Slack stores when an app sends `text`: control sequences stay, other `&`, `<`, `>` are escaped."""
    pieces: list[str] = []
    end = 0
    for control in _CONTROL.finditer(text):
        pieces += [_without_strays(text[end : control.start()]), control.group()]
        end = control.end()
    return "".join([*pieces, _without_strays(text[end:])])


def rich_text(text: str) -> dict[str, Any]:
    """Return the block that Slack makes of stored `text`."""
    elements: list[dict[str, Any]] = []
    end = 0
    for control in _CONTROL.finditer(text):
        elements += [*_plain(text[end : control.start()]), _control_element(control["body"])]
        end = control.end()
    elements += _plain(text[end:])
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def _without_strays(text: str) -> str:
    return _BARE_AMPERSAND.sub("&amp;", text).replace("<", "&lt;").replace(">", "&gt;")


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _plain(text: str) -> list[dict[str, Any]]:
    elements: list[dict[str, Any]] = []
    end = 0
    for emoji in _EMOJI.finditer(text):
        if emoji.start() > end:
            elements.append({"type": "text", "text": _unescaped(text[end : emoji.start()])})
        elements.append({"type": "emoji", "name": emoji["name"]})
        end = emoji.end()
    if end < len(text):
        elements.append({"type": "text", "text": _unescaped(text[end:])})
    return elements


def _control_element(body: str) -> dict[str, Any]:
    target, _, label = body.partition("|")
    if target.startswith("@"):
        return {"type": "user", "user_id": target[1:]}
    if target.startswith("#"):
        return {"type": "channel", "channel_id": target[1:]}
    if target.startswith("!subteam^"):
        return {"type": "usergroup", "usergroup_id": target.removeprefix("!subteam^")}
    if target.startswith("!date^"):
        return {"type": "text", "text": _unescaped(label)}
    if target.startswith("!"):
        return {"type": "broadcast", "range": target[1:]}
    link = {"type": "link", "url": _unescaped(target)}
    return link | {"text": _unescaped(label)} if label else link
