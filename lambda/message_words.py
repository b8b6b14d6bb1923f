"""Extract every word of a Slack message, and say whose words they are.

It reads the strings in blocks, elements and attachments of any type, including unknown types, except under keys that
hold no words: ids, addresses, values, styles, names, footers. It skips previews of linked pages, whose words are the
page's. This module does not depend on scores or on Slack's API.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from .message_text import CHANNEL, MENTION, date, markdown, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

MAX_DEPTH = 100  # of the JSON; a forward within a forward takes six levels
MAX_NODES = 50_000
MAX_CHARACTERS = 1_000_000  # Slack truncates a text at 40,000; words repeated by text and blocks count once
MAX_COMPARED_PARTS = 100  # to find duplicates

# Strings under these keys are not words that people write and read: values, names, texts of the interface.
_NON_TEXT_KEYS = re.compile(
    r"(?!initial_value$)(?:.*_)?(?:value|name|subname|user|team|channel)|username|footer|fallback"
)
# Strings under these keys are not words if they are a single word: ids, addresses, styles.
_ONE_WORD_KEYS = re.compile(
    r"(?:.*_)?(?:type|ids?|ts|key|urls?|uri|link|style|colou?r|icon|source|date|time|timestamp|token|hash)"
    r"|subtype|theme|size|width|height|align|layout|level|status|mode|visibility|format|language|locale|range|timezone"
    r"|unicode|mimetype|filetypes?|mrkdwn_in|include|variant|trigger_actions_on"
)
# Values under these keys are not shown to people.
_HIDDEN_KEYS = {
    "metadata", "workflow", "trigger", "filter", "dispatch_action_config", "style", "column_settings", "slack_file",
    "files", "reactions", "edited", "user_profile", "bot_profile",
}  # fmt: skip
# Exceptions: in the fields of an attachment and in a chart, these keys do hold words.
_TEXT_KEYS = frozenset({("fields", "value"), ("series", "name")})
# URLs, Slack's ids, numbers and times, colours.
_NON_TEXT_VALUES = re.compile(
    r"[a-z][a-z0-9+.-]*://\S+|(?:mailto|tel):\S+|(?=\w*\d)[A-Z][A-Z0-9]{7,}|[\d.:TZ+-]+|#[0-9A-Fa-f]{3,8}"
)

_MENTION_TYPES = frozenset({"user", "usergroup", "broadcast", "team", "canvas_user_mention"})
_QUOTE_TYPES = frozenset({"rich_text_quote", "message_mention", "canvas_message_unfurl"})
_FORWARD_KEYS = ("is_share", "is_msg_unfurl", "is_reply_unfurl", "is_thread_root_unfurl", "message_blocks")
_PREVIEW_KEYS = ("from_url", "original_url", "app_unfurl_url", "is_app_unfurl")
_PERMALINK = re.compile(r"https://[\w.-]+/archives/[A-Z0-9]+/p\d+")

_MESSAGE_KEYS = ("text", "blocks", "attachments")
# Messages that Slack itself writes about channels and people: docs.slack.dev/reference/events/message lists them.
_SLACK_SUBTYPES = re.compile(
    r"(?:channel|group)_(?:join|leave|name|archive|unarchive|convert_to_private|convert_to_public|posting_permissions)"
    r"|(?:un)?pinned_item|bot_(?:add|remove|enable|disable)|reminder_add|sh_room_created|huddle_thread"
)

_FENCE = re.compile(r"```(.*?)```", re.DOTALL)
_MARKDOWN_FENCE = re.compile(r"^ {0,3}(?:```|~~~)(.*?)(?:^ {0,3}(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_QUOTE = re.compile(r" {0,3}>")
_TYPED_QUOTE = re.compile(r" {0,3}>+(?:\s|$)")  # not >_< or >:(
_WORD = re.compile(r"[^\W\d]\w*")


class Source(Enum):
    """Whose words a passage contains."""

    OWN = "the author's"
    QUOTED = "somebody's whom the author quotes or forwards"
    CODE = "a program's"


Passage = tuple[Source, str]
Part = list[Passage]


@dataclass(frozen=True)
class Words:
    """The words of a message. A mention is `@user`, a link its label or its URL, an emoji `:name:`."""

    own: str = field(repr=False)
    quoted: str = field(repr=False)
    """Words in quotes, forwards and shared messages."""
    code: str = field(repr=False)
    """Words in code blocks, which are not judged: docs/words.md says why."""
    whole: bool
    """Whether everything was read. False if the message is nested too deep or too large."""


def read(message: Mapping[str, Any]) -> Words:
    """Read a message, each passage once. A message by Slack itself, such as about a renamed channel, has no words."""
    if _SLACK_SUBTYPES.fullmatch(str(message.get("subtype"))):
        return Words("", "", "", whole=True)
    reader = _Reader()
    parts = list(reader.message(message, Source.OWN, 0))
    own, quoted, code = (_deduplicated([_text(part, source) for part in parts]) for source in Source)
    return Words(own, quoted, code, reader.whole)


class _Reader:
    """Walks the JSON of a message within limits. Passages in one line are joined without a line break."""

    def __init__(self) -> None:
        self.whole = True
        self._nodes = MAX_NODES
        self._characters = MAX_CHARACTERS

    def message(self, raw: Mapping[str, Any], source: Source, level: int) -> Iterator[Part]:
        """Yield the message's text, blocks and attachments."""
        before = self._characters
        text = list(self._walk(raw.get("text"), source, level, plain))
        after, self._characters = self._characters, before
        blocks = list(self._walk(raw.get("blocks"), source, level))
        # Slack repeats the words of blocks in the text, but an app can set a text that differs from its blocks.
        said, shown = _text(text), _text(blocks)
        if _words(said) not in _words(shown) if _WORD.search(said) else said not in shown:
            self._characters -= before - after
            yield text
        yield blocks
        for attachment in _objects(raw.get("attachments")):
            yield from self._attachment(attachment, source, level + 2)

    def _attachment(self, raw: Mapping[str, Any], source: Source, level: int) -> Iterator[Part]:
        """Yield the parts of an app's attachment, a forward, or a message within one; nothing for a link preview."""
        if not self._within_limits(level):
            return
        if any(raw.get(key) for key in _FORWARD_KEYS) or _PERMALINK.match(str(raw.get("from_url"))):
            source = Source.QUOTED
        elif any(raw.get(key) for key in _PREVIEW_KEYS):
            return
        around = {key: value for key, value in raw.items() if key not in (*_MESSAGE_KEYS, "message", "message_blocks")}
        parts = [list(self._walk(around, source, level)), *self.message(raw, source, level)]
        for forwarded in (*_objects([raw.get("message")]), *_objects(raw.get("message_blocks"))):
            parts += self._attachment(forwarded, source, level + 2)
        # Clients show the fallback only if there is nothing else.
        if not any(map(_text, parts)):
            parts = [list(self._walk(raw.get("fallback"), source, level, plain))]
        yield from parts

    def _walk(
        self,
        node: Any,
        source: Source,
        level: int,
        markup: Callable[[str], str] = plain,
        key: str = "",
        in_line: bool = False,
    ) -> Iterator[Passage]:
        """Yield the passages of a value. `key` is its key, or that of the list around it."""
        if not self._within_limits(level):
            return
        if isinstance(node, str):
            text = node[: self._characters]
            self.whole = self.whole and text == node
            self._characters -= len(text)
            yield from [(source, text)] if in_line else _lines(text, source, markup)
        elif isinstance(node, list):
            for item in node:
                if _holds_words(key, item):
                    yield from self._walk(item, source, level + 1, markup, key, in_line)
        elif isinstance(node, dict):
            yield from self._element(node, source, level, key, in_line)

    def _element(
        self, node: Mapping[str, Any], source: Source, level: int, around: str, in_line: bool
    ) -> Iterator[Passage]:
        kind = str(node.get("type", ""))
        if in_line and (sign := _visible_text(kind, node)) is not None:
            yield from self._walk(sign, source, level, in_line=True)
            return
        if kind == "rich_text_preformatted":
            source = Source.CODE
        elif source is Source.OWN and (kind in _QUOTE_TYPES or (kind == "rich_text_list" and node.get("border"))):
            source = Source.QUOTED
        one_line = kind.startswith("rich_text_") and kind != "rich_text_list"
        passages = (
            passage
            for key, value in node.items()
            if _holds_words(key, value, around)
            for passage in self._walk(value, source, level + 1, _markup(kind, key), key, in_line or one_line)
        )
        if one_line and not in_line:
            for owner, run in itertools.groupby(passages, lambda passage: passage[0]):
                yield from _lines("".join(text for _, text in run), owner, str)
        else:
            yield from passages

    def _within_limits(self, level: int) -> bool:
        self._nodes -= 1
        within = level <= MAX_DEPTH and self._nodes > 0 and self._characters > 0
        self.whole = self.whole and within
        return within


def _visible_text(kind: str, node: Mapping[str, Any]) -> str | None:
    """Return the text that clients show for a rich text element; None for plain text or an unknown element."""
    if kind in _MENTION_TYPES:
        return MENTION
    if kind == "channel":
        return CHANNEL
    if kind == "emoji":
        return f":{node.get('name', '')}:"
    if kind == "link":
        return str(node.get("text") or node.get("url", ""))
    if kind == "date":
        return date(node.get("timestamp"), str(node.get("format") or ""), str(node.get("fallback") or ""))
    return None


def _holds_words(key: str, value: Any, around: str = "") -> bool:
    """Whether a value may hold words, judging by its key. `around` is the key of the object that contains it."""
    if key in _HIDDEN_KEYS:
        return False
    if not isinstance(value, str) or key == "text" or (around, key) in _TEXT_KEYS:
        return True
    if _NON_TEXT_KEYS.fullmatch(key) or _NON_TEXT_VALUES.fullmatch(value):
        return False
    return len(value.split()) > 1 or not _ONE_WORD_KEYS.fullmatch(key)


def _markup(kind: str, key: str) -> Callable[[str], str]:
    """Return the function that resolves the markup of an object's text, as clients do."""
    if key != "text" or kind == "mrkdwn":
        return plain
    return markdown if kind == "markdown" else str


def _lines(text: str, source: Source, markup: Callable[[str], str]) -> Iterator[Passage]:
    """Yield the passages of a block of text, with code blocks and quoted lines separate and markup resolved."""
    if source is Source.CODE:
        yield source, f"{text}\n"
        return
    fence = {plain: _FENCE, markdown: _MARKDOWN_FENCE}.get(markup)
    for number, piece in enumerate(fence.split(text) if fence else [text]):
        if number % 2:
            yield Source.CODE, f"{piece}\n"
            continue
        quote, rest_is_quoted = _TYPED_QUOTE if markup is str else _QUOTE, False
        for line in markup(piece).split("\n"):
            # In Slack's markup, >>> quotes all that follows.
            rest_is_quoted = rest_is_quoted or (markup is plain and line.startswith(">>>"))
            if source is Source.OWN and (rest_is_quoted or quote.match(line)):
                yield Source.QUOTED, f"{line.lstrip(' >')}\n"
            else:
                yield source, f"{line}\n"


def _text(part: Iterable[Passage], source: Source | None = None) -> str:
    return "".join(text for owner, text in part if source in (None, owner)).strip()


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _deduplicated(parts: Sequence[str]) -> str:
    """Join the parts in order, without those whose words another part contains."""
    parts = [*parts[:MAX_COMPARED_PARTS], "\n".join(parts[MAX_COMPARED_PARTS:])]
    words = [_words(part) for part in parts]
    kept: list[int] = []
    for number in sorted(range(len(parts)), key=lambda number: -len(words[number])):
        # A part without words may have emoji.
        said = words if words[number].strip() else parts
        if parts[number] and not any(said[number] in said[other] for other in kept):
            kept.append(number)
    return "\n".join(parts[number] for number in sorted(kept))


def _words(text: str) -> str:
    """Return the words with a space around each, so that only whole words match in another text.

    Numbers are omitted, because Slack numbers list items in the text.
    """
    return f" {' '.join(_WORD.findall(text.casefold()))} "
