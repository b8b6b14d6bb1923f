"""Read every word of a Slack message, and say whose words they are.

The strings of blocks, elements and attachments of any type are read, known or not, except those under keys that hold
no words: ids, addresses, values, styles, names, footers. The preview of a linked page is not read: its words are the
page's. Knows nothing of scores or of Slack's API.
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

MOST_LEVELS = 100  # of JSON; a forward in a forward takes six
MOST_NODES = 50_000
MOST_CHARACTERS = 1_000_000  # Slack cuts a text at 40,000; words that text and blocks repeat count once
MOST_PARTS = 100  # that are compared with each other

# Strings under these keys are none of the words that people write and read: values, names, texts of the interface.
_NEVER = re.compile(r"(?!initial_value$)(?:.*_)?(?:value|name|subname|user|team|channel)|username|footer|fallback")
# Under these they are none if they are one word: ids, addresses, styles.
_NOT_ONE_WORD = re.compile(
    r"(?:.*_)?(?:type|ids?|ts|key|urls?|uri|link|style|colou?r|icon|source|date|time|timestamp|token|hash)"
    r"|subtype|theme|size|width|height|align|layout|level|status|mode|visibility|format|language|locale|range|timezone"
    r"|unicode|mimetype|filetypes?|mrkdwn_in|include|variant|trigger_actions_on"
)
# What these hold is not for people.
_HIDDEN = {
    "metadata", "workflow", "trigger", "filter", "dispatch_action_config", "style", "column_settings", "slack_file",
    "files", "reactions", "edited", "user_profile", "bot_profile",
}  # fmt: skip
# In the table of an attachment and in a chart, such a key holds words all the same.
_HAS_WORDS = frozenset({("fields", "value"), ("series", "name")})
# An address, an id of Slack's, a number or time, a colour.
_NO_WORDS_FORM = re.compile(
    r"[a-z][a-z0-9+.-]*://\S+|(?:mailto|tel):\S+|(?=\w*\d)[A-Z][A-Z0-9]{7,}|[\d.:TZ+-]+|#[0-9A-Fa-f]{3,8}"
)

_MENTIONS = frozenset({"user", "usergroup", "broadcast", "team", "canvas_user_mention"})
_QUOTES = frozenset({"rich_text_quote", "message_mention", "canvas_message_unfurl"})
_FORWARD = ("is_share", "is_msg_unfurl", "is_reply_unfurl", "is_thread_root_unfurl", "message_blocks")
_PAGE = ("from_url", "original_url", "app_unfurl_url", "is_app_unfurl")
_PERMALINK = re.compile(r"https://[\w.-]+/archives/[A-Z0-9]+/p\d+")

_MESSAGE = ("text", "blocks", "attachments")
# Messages that Slack itself writes about channels and people; docs.slack.dev/reference/events/message lists them.
_FROM_SLACK = re.compile(
    r"(?:channel|group)_(?:join|leave|name|archive|unarchive|convert_to_private|convert_to_public|posting_permissions)"
    r"|(?:un)?pinned_item|bot_(?:add|remove|enable|disable)|reminder_add|sh_room_created|huddle_thread"
)

_FENCE = re.compile(r"```(.*?)```", re.DOTALL)
_MARKDOWN_FENCE = re.compile(r"^ {0,3}(?:```|~~~)(.*?)(?:^ {0,3}(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_QUOTE = re.compile(r" {0,3}>")
_TYPED_QUOTE = re.compile(r" {0,3}>+(?:\s|$)")  # not >_< or >:(
_WORD = re.compile(r"[^\W\d]\w*")


class Whose(Enum):
    """Whose words a passage holds."""

    OWN = "the author's"
    QUOTED = "somebody's whom the author quotes or forwards"
    CODE = "a program's"


Passage = tuple[Whose, str]
Part = list[Passage]


@dataclass(frozen=True)
class Words:
    """The words of a message. A mention is `@user`, a link its label or its address, an emoji `:name:`."""

    own: str = field(repr=False)
    quoted: str = field(repr=False)
    """Of quotes, forwards and shared messages."""
    code: str = field(repr=False)
    """Of code blocks, which are not judged: docs/words.md says why."""
    whole: bool
    """Whether all was read: not so if the message is nested too deep or too large."""


def read(message: Mapping[str, Any]) -> Words:
    """Read a message, each passage once; one that Slack itself wrote, such as of a renamed channel, has no words."""
    if _FROM_SLACK.fullmatch(str(message.get("subtype"))):
        return Words("", "", "", whole=True)
    reader = _Reader()
    parts = list(reader.message(message, Whose.OWN, 0))
    own, quoted, code = (_each_once([_text(part, whose) for part in parts]) for whose in Whose)
    return Words(own, quoted, code, reader.whole)


class _Reader:
    """Walks the JSON of a message within bounds. Passages of one line follow each other without a line break."""

    def __init__(self) -> None:
        self.whole = True
        self._nodes = MOST_NODES
        self._characters = MOST_CHARACTERS

    def message(self, raw: Mapping[str, Any], whose: Whose, level: int) -> Iterator[Part]:
        """Yield the message's text, blocks and attachments."""
        before = self._characters
        text = list(self._walk(raw.get("text"), whose, level, plain))
        after, self._characters = self._characters, before
        blocks = list(self._walk(raw.get("blocks"), whose, level))
        # Slack repeats the words of blocks in the text, but an app may notify of one thing and show another.
        said, shown = _text(text), _text(blocks)
        if _words(said) not in _words(shown) if _WORD.search(said) else said not in shown:
            self._characters -= before - after
            yield text
        yield blocks
        for attachment in _objects(raw.get("attachments")):
            yield from self._attachment(attachment, whose, level + 2)

    def _attachment(self, raw: Mapping[str, Any], whose: Whose, level: int) -> Iterator[Part]:
        """Yield an app's attachment, a forward, or a message within one; nothing for the preview of a page."""
        if not self._within(level):
            return
        if any(raw.get(key) for key in _FORWARD) or _PERMALINK.match(str(raw.get("from_url"))):
            whose = Whose.QUOTED
        elif any(raw.get(key) for key in _PAGE):
            return
        around = {key: value for key, value in raw.items() if key not in (*_MESSAGE, "message", "message_blocks")}
        parts = [list(self._walk(around, whose, level)), *self.message(raw, whose, level)]
        for forwarded in (*_objects([raw.get("message")]), *_objects(raw.get("message_blocks"))):
            parts += self._attachment(forwarded, whose, level + 2)
        # Clients show the fallback only if there is nothing else.
        if not any(map(_text, parts)):
            parts = [list(self._walk(raw.get("fallback"), whose, level, plain))]
        yield from parts

    def _walk(
        self,
        node: Any,
        whose: Whose,
        level: int,
        markup: Callable[[str], str] = plain,
        key: str = "",
        in_line: bool = False,
    ) -> Iterator[Passage]:
        """Yield the passages of a value; `key` is the one that it, or the list around it, has in its object."""
        if not self._within(level):
            return
        if isinstance(node, str):
            text = node[: self._characters]
            self.whole = self.whole and text == node
            self._characters -= len(text)
            yield from [(whose, text)] if in_line else _lines(text, whose, markup)
        elif isinstance(node, list):
            for item in node:
                if _holds_words(key, item):
                    yield from self._walk(item, whose, level + 1, markup, key, in_line)
        elif isinstance(node, dict):
            yield from self._element(node, whose, level, key, in_line)

    def _element(
        self, node: Mapping[str, Any], whose: Whose, level: int, around: str, in_line: bool
    ) -> Iterator[Passage]:
        kind = str(node.get("type", ""))
        if in_line and (sign := _sign(kind, node)) is not None:
            yield from self._walk(sign, whose, level, in_line=True)
            return
        if kind == "rich_text_preformatted":
            whose = Whose.CODE
        elif whose is Whose.OWN and (kind in _QUOTES or (kind == "rich_text_list" and node.get("border"))):
            whose = Whose.QUOTED
        one_line = kind.startswith("rich_text_") and kind != "rich_text_list"
        passages = (
            passage
            for key, value in node.items()
            if _holds_words(key, value, around)
            for passage in self._walk(value, whose, level + 1, _markup(kind, key), key, in_line or one_line)
        )
        if one_line and not in_line:
            for owner, run in itertools.groupby(passages, lambda passage: passage[0]):
                yield from _lines("".join(text for _, text in run), owner, str)
        else:
            yield from passages

    def _within(self, level: int) -> bool:
        self._nodes -= 1
        within = level <= MOST_LEVELS and self._nodes > 0 and self._characters > 0
        self.whole = self.whole and within
        return within


def _sign(kind: str, node: Mapping[str, Any]) -> str | None:
    """Return what people see of an element of rich text that is more than a text; None for a text or an unknown one."""
    if kind in _MENTIONS:
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
    """Whether a value may hold words by its key; `around` is the key of its object."""
    if key in _HIDDEN:
        return False
    if not isinstance(value, str) or key == "text" or (around, key) in _HAS_WORDS:
        return True
    if _NEVER.fullmatch(key) or _NO_WORDS_FORM.fullmatch(value):
        return False
    return len(value.split()) > 1 or not _NOT_ONE_WORD.fullmatch(key)


def _markup(kind: str, key: str) -> Callable[[str], str]:
    """Return how clients resolve the text of an object of this type."""
    if key != "text" or kind == "mrkdwn":
        return plain
    return markdown if kind == "markdown" else str


def _lines(text: str, whose: Whose, markup: Callable[[str], str]) -> Iterator[Passage]:
    """Yield the passages of a text of its own lines: code blocks and quoted lines apart, markup resolved."""
    if whose is Whose.CODE:
        yield whose, f"{text}\n"
        return
    fence = {plain: _FENCE, markdown: _MARKDOWN_FENCE}.get(markup)
    for number, piece in enumerate(fence.split(text) if fence else [text]):
        if number % 2:
            yield Whose.CODE, f"{piece}\n"
            continue
        quote, rest_is_quoted = _TYPED_QUOTE if markup is str else _QUOTE, False
        for line in markup(piece).split("\n"):
            # In Slack's markup three signs quote all that follows.
            rest_is_quoted = rest_is_quoted or (markup is plain and line.startswith(">>>"))
            if whose is Whose.OWN and (rest_is_quoted or quote.match(line)):
                yield Whose.QUOTED, f"{line.lstrip(' >')}\n"
            else:
                yield whose, f"{line}\n"


def _text(part: Iterable[Passage], whose: Whose | None = None) -> str:
    return "".join(text for owner, text in part if whose in (None, owner)).strip()


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _each_once(parts: Sequence[str]) -> str:
    """Join the parts in order, without those whose words another part contains."""
    parts = [*parts[:MOST_PARTS], "\n".join(parts[MOST_PARTS:])]
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

    Numbers are left out, as Slack numbers the items of lists in the text.
    """
    return f" {' '.join(_WORD.findall(text.casefold()))} "
