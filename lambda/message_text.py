"""Resolve Slack's markup, and fold any text into the form that the model reads.

This module does not depend on scores or on Slack's API.
"""

from __future__ import annotations

import datetime
import functools
import html
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import emoji_names
from .leetspeak import undisguised
from .reading_budget import excerpt

if TYPE_CHECKING:
    from collections.abc import Callable

MENTION = "@user"
LINK = "http"
CHANNEL = "#channel"

# Formatting is dropped in this many characters, twice what Slack allows. Each unclosed sign takes some time.
MAX_FORMATTED_CHARACTERS = 80_000

# A fold may uncover something for the next, such as a link spelled with look-alikes. Ordinary text takes two.
MAX_FOLDS = 8

_ANGLE = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")
# The bound prevents quadratic time for many unclosed signs.
_FORMATTING = re.compile(r"(?<!\w)(\*{1,2}|_{1,2}|~{1,2}|`{1,3})(?=\S)(.{1,500}?)(?<=\S)\1(?!\w)", re.DOTALL)
_USER = re.compile(r"@[A-Z0-9]+")
_CONVERSATION = re.compile(r"#[A-Z0-9]+")
_BROADCASTS = frozenset({"!here", "!channel", "!everyone", "!group", "!subteam"})
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:\S", re.IGNORECASE)
_DATE_TOKEN = re.compile(r"\{(?:day_divider_pretty|date\w*|time\w*|ago)\}")
_MARKDOWN_LINK = re.compile(r"!?\[((?:[^\[\]\\]|\\.)*)\](?:\((?:[^()\n]|\([^()\n]*\))*\)|\[[^\[\]]*\])", re.DOTALL)
# Within words "_" is an underscore, unlike the other signs. As above, the bound keeps the time linear.
_MARKDOWN_FORMATTING = (
    re.compile(r"(?<!\\)(\*{1,3}|~~|`{1,3})(?=\S)(.{1,500}?)(?<=[^\s\\])\1", re.DOTALL),
    re.compile(r"(?<![\w\\])(_{1,3})(?=\S)(.{1,500}?)(?<=[^\s\\])\1(?!\w)", re.DOTALL),
)
_MARKDOWN_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+", re.MULTILINE)
_MARKDOWN_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_AT_NAME = re.compile(r"(?<![\w.@])@[\w.-]*\w")
PLACEHOLDERS = re.compile(rf"{MENTION}|\b{LINK}\b|{CHANNEL}|:[\w+'-]+(?:::skin-tone-\d)?:")
_WORD = re.compile(r"\w+")
_LATIN_LETTER = re.compile("[A-Za-z]")
_ENTITY_OR_EMOJI = re.compile(r"&|:[a-z0-9_+'-]+:")
# Unicode's stream-safe form has at most 30 combining marks in a row: sorting n of them takes NFKC n\u00b2 steps.
_MAX_MARKS = 30
# NFKC expands these to 18 and 8 letters. No English text has them. Any other character becomes six letters at most.
_NORMALIZED = re.compile("[^\ufdfa\ufdfb]+")
# Characters that NFKC does not change: small capitals, and blanks that are classified as letters or signs.
_LOOKS = dict.fromkeys((0x115F, 0x1160, 0x2800), " ") | {
    ord(unicodedata.lookup(f"LATIN LETTER SMALL CAPITAL {letter}")): letter.lower()
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWYZ"
}
# Candidates for a face such as \u00af\\_(\u30c4)_/\u00af: signs, and letters of other scripts for eyes, mouth or arms.
_NO_LATIN = re.compile(r"(?:[^\W\da-zA-Z\u00c0-\u024f]|[\W_])+")
_FACE = re.compile(r"\([^\w\s().,!?\u2026][^a-zA-Z0-9()]{1,12}[^\w\s().,!?\u2026]\)")
_PUNCTUATION = frozenset(".,;:!?\"'\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u3001\u3002\u300c\u300d\u30fb")
_FOREIGN = re.compile(rf"[^\x00-\u02ff]{{{_MAX_MARKS + 1},}}")


@dataclass(frozen=True)
class FoldedText:
    """A text with its folded forms, computed once and passed to everything that judges it."""

    raw: str = field(repr=False)
    """The part of the text that is read."""
    folded: str = field(repr=False)
    """The form that the model reads, with emoji as words."""
    letters: str = field(repr=False)
    """The folded text without emoji."""
    share: float = 1.0
    """The share of the whole text that is read."""

    @classmethod
    def of(cls, text: str | FoldedText) -> FoldedText:
        """Fold a text. Raises TypeError for anything but text, and ValueError if the result is empty."""
        if isinstance(text, FoldedText):
            return text
        if not isinstance(text, str):
            raise TypeError(f"the text to judge must be a str, not {type(text).__name__}")
        raw = excerpt(text)
        folded = fold(raw)
        if not folded:
            raise ValueError("there is no text to judge: it is empty, or nothing in it is visible")
        has_emoji = not raw.isascii() or _ENTITY_OR_EMOJI.search(raw)
        letters = fold(raw, emoji=emoji_names.without_emoji) if has_emoji else folded
        return cls(raw, folded, letters, min(1.0, len(raw) / len(text)))

    @functools.cached_property
    def has_words(self) -> bool:
        """Whether there is anything to judge: words, an emoji that is an insult, or a face made of signs.

        Folding may uncover words and may leave none, so both forms must have words.
        """
        if has_words(self.raw) and has_words(self.letters):
            return True
        return emoji_names.insults(self.raw) or _FACE.search(prose(self.raw)) is not None


def plain(mrkdwn: str) -> str:
    """Return Slack's mrkdwn as plain text: angle brackets resolved, formatting dropped, escapes decoded once."""
    text = _unformatted(_FORMATTING, _ANGLE.sub(_resolve, mrkdwn))
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def escape(text: str) -> str:
    """Escape plain text for a Slack post, so that no mention or link becomes active."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fold(text: str, *, emoji: Callable[[str], str] = emoji_names.in_words) -> str:
    """Return text in the form that the model reads, in training and in service. Folding is idempotent.

    It decodes HTML entities, replaces compatibility characters, look-alike letters and leetspeak with plain letters,
    removes invisible characters, replaces emoji with words, and replaces names and URLs with placeholders.
    `emoji=emoji_names.without_emoji` removes emoji instead.
    """
    for _ in range(MAX_FOLDS):
        before, text = text, _folded_once(text, emoji)
        if text == before:
            return text
    # Only deliberately nested entities get here.
    return fold(text.replace("&", " "), emoji=emoji)


def _folded_once(text: str, emoji: Callable[[str], str]) -> str:
    text = html.unescape(text)
    if not text.isascii():
        text = _FOREIGN.sub(lambda run: _stream_safe(run[0]), text)
        text = _NORMALIZED.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text).translate(_LOOKS)
    # Links first: a link may contain what looks like an emoji code.
    text = _URL.sub(LINK, text)
    text = emoji(emoji_names.with_characters(text))
    text = text.translate(_VISIBLE)
    text = _AT_NAME.sub(MENTION, undisguised(_URL.sub(LINK, text)))
    if not text.isascii() and _LATIN_LETTER.search(text):
        text = _WORD.sub(lambda word: _one_script(word[0]), text)
    return " ".join(text.split())


def prose(text: str) -> str:
    """Return the text without emoji, links and mentions."""
    text = emoji_names.without_emoji(emoji_names.with_characters(_URL.sub(" ", text)))
    return PLACEHOLDERS.sub(" ", _AT_NAME.sub(" ", undisguised(text)))


def has_words(text: str) -> bool:
    """Whether the text has any letters outside emoji, links and mentions."""
    return any(character.isalpha() for character in prose(text))


def without_faces(text: str) -> str:
    """Return the text without faces made of signs and non-Latin letters."""
    return text if text.isascii() else _NO_LATIN.sub(lambda piece: " " if _is_face(piece[0]) else piece[0], text)


def _is_face(piece: str) -> bool:
    """Whether a piece has enough signs for its letters, and never three letters of one script in a row."""
    signs = sum(unicodedata.category(sign)[0] in "PS" and sign not in _PUNCTUATION for sign in piece) + piece.count("_")
    letters, scripts = 0, ["", ""]
    for character in piece:
        script = unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else ""
        letters += bool(script)
        if script and scripts == [script, script]:
            return False
        scripts = [scripts[1], script]
    return letters > 0 and signs >= max(2, letters / 2)


def markdown(text: str) -> str:
    """Return Markdown as plain text: links and images as their labels, formatting dropped, escapes decoded once."""
    # Twice, since the label of a link may be an image, and bold text may have italic words.
    for _ in range(2):
        text = _MARKDOWN_LINK.sub(r"\1", text)
        for formatting in _MARKDOWN_FORMATTING:
            text = _unformatted(formatting, text)
    text = _ANGLE.sub(_resolve, _MARKDOWN_HEADING.sub("", text))
    return html.unescape(_MARKDOWN_ESCAPE.sub(r"\1", text))


def date(timestamp: object, form: str, fallback: str) -> str:
    """Return the text that clients show for a date: `form` with its tokens, or the fallback if that is impossible."""
    try:
        day = datetime.datetime.fromtimestamp(float(str(timestamp)), datetime.UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return fallback
    return _DATE_TOKEN.sub(day, form) or fallback


def _unformatted(formatting: re.Pattern[str], text: str) -> str:
    return formatting.sub(r"\2", text[:MAX_FORMATTED_CHARACTERS]) + text[MAX_FORMATTED_CHARACTERS:]


def _resolve(match: re.Match[str]) -> str:
    target, label = match[1], match[2]
    if _USER.fullmatch(target):
        return MENTION
    if _CONVERSATION.fullmatch(target):
        return CHANNEL
    command, _, arguments = target.partition("^")
    if command == "!date":
        timestamp, _, form = arguments.partition("^")
        return date(timestamp, form.partition("^")[0], label or "")
    if command.startswith("!"):
        return (label if command not in _BROADCASTS else "") or MENTION
    if _ADDRESS.match(target):
        return label or target.removeprefix("mailto:")
    return match[0]


def _stream_safe(run: str) -> str:
    """Drop the combining marks that follow `_MAX_MARKS` others."""
    kept, marks = [], 0
    for character in run:
        marks = marks + 1 if _becomes_mark(character) else 0
        if marks <= _MAX_MARKS:
            kept.append(character)
    return "".join(kept)


@functools.lru_cache(maxsize=4096)
def _becomes_mark(character: str) -> bool:
    """Whether NFKC turns a character into a combining mark, as it does with half-width voiced marks."""
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


class _Visible(dict[int, int | None]):
    """A table for `str.translate` that drops invisible characters. It is filled as characters occur.

    Format, control and unassigned characters are invisible, as are combining marks that NFKC did not compose.
    """

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        dropped = unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs", "Mn", "Me")
        self[code] = None if dropped and not character.isspace() else code
        return self[code]


_VISIBLE = _Visible()


def _one_script(word: str) -> str:
    """Respell a word that mixes scripts, such as Latin and Cyrillic, with the Latin letters that it looks like.

    The table is Unicode's list of confusables, loaded on first use.
    """
    if word.isascii() or not any(character.isascii() and character.isalpha() for character in word):
        return word
    from confusable_homoglyphs import confusables

    found = confusables.is_confusable(word, greedy=True, preferred_aliases=["latin", "common"]) or []
    for entry in found:
        looks_like = next((other["c"] for other in entry["homoglyphs"] if other["c"].isascii()), None)
        if looks_like:
            word = word.replace(entry["character"], looks_like)
    return word
