"""Slack's checks of a message's blocks, with Slack's error messages.

Sizes are those of https://docs.slack.dev/reference/block-kit/blocks; interactive elements are not checked.
"""

from __future__ import annotations

from typing import Any

MOST_BLOCKS = 50
MOST_SECTION_CHARACTERS = 3000
MOST_HEADER_CHARACTERS = 150
MOST_FIELDS = 10
MOST_FIELD_CHARACTERS = 2000
MOST_CONTEXT_ELEMENTS = 10
# All texts of a message together: undocumented, confirmed in slackapi/bolt-js#2509 on GitHub.
MOST_CHARACTERS = 12_000
_TYPES = frozenset(
    {"actions", "context", "context_actions", "divider", "file", "header", "image", "input", "markdown", "rich_text"}
    | {"section", "table", "video"}
)
_TEXT_TYPES = ("mrkdwn", "plain_text")


def complaints(blocks: Any) -> list[str]:
    """Return Slack's error messages for `blocks`, each with a JSON pointer."""
    if not isinstance(blocks, list):
        return ["must be an array [json-pointer:/blocks]"]
    found = [] if len(blocks) <= MOST_BLOCKS else [f"no more than {MOST_BLOCKS} items allowed [json-pointer:/blocks]"]
    for number, block in enumerate(blocks):
        found += _block(block, f"/blocks/{number}")
    return found


def characters(blocks: Any) -> int:
    """Return the length of all texts in `blocks` together."""
    if isinstance(blocks, list):
        return sum(map(characters, blocks))
    if isinstance(blocks, dict):
        own = blocks.get("text")
        return (len(own) if isinstance(own, str) else 0) + sum(map(characters, blocks.values()))
    return 0


def _block(block: Any, pointer: str) -> list[str]:
    if not isinstance(block, dict) or block.get("type") not in _TYPES:
        return [f"unsupported type [json-pointer:{pointer}]"]
    if block["type"] == "section":
        return _section(block, pointer)
    if block["type"] == "header":
        return _text(block.get("text"), f"{pointer}/text", MOST_HEADER_CHARACTERS, ("plain_text",))
    if block["type"] == "context":
        return _items(block.get("elements"), f"{pointer}/elements", MOST_CONTEXT_ELEMENTS)
    if block["type"] == "rich_text" and not isinstance(block.get("elements"), list):
        return [f"missing required field: elements [json-pointer:{pointer}]"]
    return []


def _section(block: dict[str, Any], pointer: str) -> list[str]:
    if "text" not in block and "fields" not in block:
        return [f"missing required field: text [json-pointer:{pointer}]"]
    found = _text(block["text"], f"{pointer}/text", MOST_SECTION_CHARACTERS) if "text" in block else []
    if "fields" in block:
        found += _items(block["fields"], f"{pointer}/fields", MOST_FIELDS)
        for number, one in enumerate(block["fields"] if isinstance(block["fields"], list) else []):
            found += _text(one, f"{pointer}/fields/{number}", MOST_FIELD_CHARACTERS)
    return found


def _items(items: Any, pointer: str, most: int) -> list[str]:
    if not isinstance(items, list) or not items:
        return [f"no fewer than 1 items allowed [json-pointer:{pointer}]"]
    return [] if len(items) <= most else [f"no more than {most} items allowed [json-pointer:{pointer}]"]


def _text(text: Any, pointer: str, most: int, types: tuple[str, ...] = _TEXT_TYPES) -> list[str]:
    if not isinstance(text, dict) or text.get("type") not in types or not isinstance(text.get("text"), str):
        return [f"failed to match all allowed schemas [json-pointer:{pointer}]"]
    if not text["text"]:
        return [f"must be more than 0 characters [json-pointer:{pointer}/text]"]
    if len(text["text"]) > most:
        return [
            f"failed to match all allowed schemas [json-pointer:{pointer}]",
            f"must be less than {most + 1} characters [json-pointer:{pointer}/text]",
        ]
    return []
