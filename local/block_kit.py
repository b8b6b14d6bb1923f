"""Slack's blocks: validate a message's blocks, and build the `rich_text` block that Slack stores with a text.

The block types come from slack_sdk's models. Those models accept some blocks that Slack rejects: empty texts, long
fields, wrong text types. So they are checked here too. The limits come from
https://docs.slack.dev/reference/block-kit/blocks. The `rich_text` blocks contain text, links, mentions, dates, emoji,
text with one style, code blocks and quotes. Lists stay plain text.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block, block_elements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slack_sdk.models.basic_objects import JsonObject

MAX_BLOCKS = 50
MAX_FIELD_CHARACTERS = 2000
# In all texts of a message together. Undocumented, but confirmed in slackapi/bolt-js#2509 on GitHub.
MAX_CHARACTERS = 12_000
MAX_LABEL_CHARACTERS = 75
MAX_INPUT_CHARACTERS = 3000
_MODELS = {str(vars(model)["type"]): model for model in Block.__subclasses__()}
_ELEMENTS = {vars(one).get("type") for one in vars(block_elements).values() if isinstance(one, type)}
# Block types (https://docs.slack.dev/reference/block-kit/blocks) that slack_sdk 3.47 has no models for.
_WITHOUT_MODEL = frozenset({"data_table", "data_visualization"})
# https://docs.slack.dev/messaging/formatting-message-text: mentions, channels, commands, links.
_CONTROL = re.compile(r"<(?P<body>[@#!][A-Za-z0-9^|_.\- ]+[^<>]*|(?:https?://|mailto:|tel:)[^<>]+)>")
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt);)")
_CODE = re.compile(r"```(.+?)```", re.DOTALL)
_STYLED = re.compile(r"(?<!\w)([*_~`])(?=\S)([^\n*_~`]+)(?<=\S)\1(?!\w)")
_STYLES = {"*": "bold", "_": "italic", "~": "strike", "`": "code"}
_EMOJI = re.compile(r":(?P<name>[a-z0-9_+'\-]+(?:::skin-tone-[2-6])?):")


def block_errors(blocks: Any, max_blocks: int = MAX_BLOCKS, pointer: str = "/blocks") -> list[str]:
    """Return Slack's error messages for `blocks`, each with a JSON pointer."""
    if not isinstance(blocks, list):
        return [f"must be an array [json-pointer:{pointer}]"]
    found = [f"no more than {max_blocks} items allowed [json-pointer:{pointer}]"] if len(blocks) > max_blocks else []
    return found + [one for number, block in enumerate(blocks) for one in _block(block, f"{pointer}/{number}")]


def characters(blocks: Any) -> int:
    """Return the total length of all texts in `blocks`."""
    if isinstance(blocks, list):
        return sum(map(characters, blocks))
    if isinstance(blocks, dict):
        own = blocks.get("text")
        return (len(own) if isinstance(own, str) else 0) + sum(map(characters, blocks.values()))
    return 0


def escaped(text: str) -> str:
    """Return the text that Slack stores when a person types `text`, in which nothing is markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescaped(text: str) -> str:
    """Return stored `text` as people see it."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def stored(text: str) -> str:
    """Return the text that Slack stores when an app sends `text`. Only `&`, `<`, `>` outside markup are escaped."""
    return "".join(
        _BARE_AMPERSAND.sub("&amp;", piece).replace("<", "&lt;").replace(">", "&gt;")
        if isinstance(piece, str)
        else piece.group()
        for piece in _pieces(_CONTROL, text)
    )


def rich_text(text: str) -> dict[str, Any]:
    """Return the block that Slack creates from stored `text`."""
    elements: list[dict[str, Any]] = []
    for number, piece in enumerate(_CODE.split(text)):
        if number % 2:
            code = [{"type": "text", "text": unescaped(piece)}]
            elements.append({"type": "rich_text_preformatted", "elements": code})
            continue
        for kind, lines in itertools.groupby(_quoted(piece), lambda line: line[0]):
            if inner := _inline("\n".join(line for _, line in lines)):
                elements.append({"type": f"rich_text_{kind}", "elements": inner})
    return {"type": "rich_text", "elements": elements}


def model_errors(model: Callable[..., JsonObject], fields: dict[str, Any], pointer: str) -> list[str]:
    """Return the errors that slack_sdk's model finds in a block or a view, including its elements."""
    try:
        model(**fields).to_dict()
    except SlackObjectFormationError as error:
        return [f"{error} [json-pointer:{pointer}]"]
    except (TypeError, ValueError, AttributeError) as error:  # a field is missing, or has another type
        return [f"failed to match all allowed schemas ({error}) [json-pointer:{pointer}]"]
    return []


def _block(block: Any, pointer: str) -> list[str]:
    if not isinstance(block, dict) or block.get("type") not in {*_MODELS, *_WITHOUT_MODEL}:
        return [f"unsupported type [json-pointer:{pointer}]"]
    if block["type"] in _WITHOUT_MODEL:
        return []
    found = model_errors(_MODELS[block["type"]], block, pointer)
    return found or [*_texts(block, pointer), *_elements(block, pointer)]


def _texts(block: dict[str, Any], pointer: str) -> Iterator[str]:
    """Yield the errors in the texts of a section, a header or a context."""
    if block["type"] == "context" and not block["elements"]:
        yield f"no fewer than 1 items allowed [json-pointer:{pointer}/elements]"
    if block["type"] not in ("section", "header"):
        return
    types = ("plain_text", "mrkdwn") if block["type"] == "section" else ("plain_text",)
    texts = {"text": block["text"]} if "text" in block else {}
    texts |= {f"fields/{number}": text for number, text in enumerate(block.get("fields", []))}
    for place, text in texts.items():
        if not isinstance(text, dict) or text.get("type") not in types:
            yield f"failed to match all allowed schemas [json-pointer:{pointer}/{place}]"
        elif not text["text"]:
            yield f"must be more than 0 characters [json-pointer:{pointer}/{place}/text]"
        elif place != "text" and len(text["text"]) > MAX_FIELD_CHARACTERS:
            yield f"must be less than {MAX_FIELD_CHARACTERS + 1} characters [json-pointer:{pointer}/{place}/text]"


def _elements(block: dict[str, Any], pointer: str) -> Iterator[str]:
    """Yield the errors in buttons and inputs."""
    if block["type"] not in ("actions", "context_actions", "input"):
        return
    for element in block.get("elements") or [block.get("element")]:
        if not isinstance(element, dict) or element.get("type") not in _ELEMENTS:
            yield f"unsupported type [json-pointer:{pointer}/elements]"
            continue
        named = [element[name] for name in ("positive_button", "negative_button") if name in element]
        if not all(button.get("value") for button in named):
            yield f"must be more than 0 characters [json-pointer:{pointer}/value]"
        labels = [button.get("accessibility_label") or "" for button in named or [element]]
        if max(map(len, labels)) > MAX_LABEL_CHARACTERS:
            limit = MAX_LABEL_CHARACTERS + 1
            yield f"must be less than {limit} characters [json-pointer:{pointer}/accessibility_label]"
        if not 1 <= element.get("max_length", 1) <= MAX_INPUT_CHARACTERS:
            yield f"must be from 1 to {MAX_INPUT_CHARACTERS} [json-pointer:{pointer}/max_length]"


def _pieces(pattern: re.Pattern[str], text: str) -> Iterator[str | re.Match[str]]:
    """Yield the matches and the text around them, in order."""
    end = 0
    for found in pattern.finditer(text):
        yield from (text[end : found.start()], found)
        end = found.end()
    yield text[end:]


def _quoted(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line with its kind. Lines that begin with `>` and all lines from `>>>` on are quotes."""
    rest = False
    for line in text.split("\n"):
        rest = rest or line.startswith("&gt;&gt;&gt;")
        sign = "&gt;&gt;&gt;" if line.startswith("&gt;&gt;&gt;") else "&gt;"
        if rest or line.startswith(sign):
            yield "quote", line.removeprefix(sign).removeprefix(" ")
        else:
            yield "section", line


def _inline(text: str) -> list[dict[str, Any]]:
    elements: list[dict[str, Any]] = []
    for piece in _pieces(_CONTROL, text):
        if not isinstance(piece, str):
            elements.append(_control_element(piece["body"]))
            continue
        for part in _pieces(_STYLED, piece):
            styles = {} if isinstance(part, str) else {"style": {_STYLES[part[1]]: True}}
            elements += [one | styles for one in _plain(part if isinstance(part, str) else part[2])]
    return elements


def _plain(text: str) -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": unescaped(piece)}
        if isinstance(piece, str)
        else {"type": "emoji", "name": piece["name"]}
        for piece in _pieces(_EMOJI, text)
        if piece
    ]


def _control_element(body: str) -> dict[str, Any]:
    target, _, label = body.partition("|")
    if target.startswith("@"):
        return {"type": "user", "user_id": target[1:]}
    if target.startswith("#"):
        return {"type": "channel", "channel_id": target[1:]}
    if target.startswith("!subteam^"):
        return {"type": "usergroup", "usergroup_id": target.removeprefix("!subteam^")}
    if target.startswith("!date^"):
        _, timestamp, form, *_ = [*target.split("^"), "", ""]
        shown = {"format": unescaped(form), "fallback": unescaped(label)}
        return {"type": "date", "timestamp": int(timestamp) if timestamp.isdecimal() else 0, **shown}
    if target.startswith("!"):
        return {"type": "broadcast", "range": target[1:]}
    link = {"type": "link", "url": unescaped(target)}
    return link | {"text": unescaped(label)} if label else link
