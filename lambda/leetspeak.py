"""Replace insults in leetspeak or spaced letters, such as `1d10t` and `s t u p i d`, by the words they stand for.

Only the words listed here are recognized. A general rule would read l10n as lion, test5 as tests and $hell as shell;
the list leaves versions, hashes, times, code and names as they are.
"""

from __future__ import annotations

import re

# Words that people disguise, slurs included.
_WORDS = """
    arse ass asshole bastard bitch bollocks bullshit cock coward cretin cunt damn dick dickhead disgusting dumb dumbass
    dumbfuck fag faggot filthy fool freak fuck garbage hate idiot idiotic imbecile incompetent jackass jerk kill liar
    loser lunatic moron moronic motherfucker nigga nigger pathetic piss prick psycho pussy rape retard retarded scum
    shit shithead slut stupid suck suicide trash twat ugly useless vermin wanker whore worthless
"""
_ENDINGS = ("", "s", "es", "ed", "er", "ers", "ing", "y")

# Signs and digits, and the letters they stand for. "1" stands for both i and l, so both are spelt i here.
_LETTERS = str.maketrans("01345789@$!|l", "oieastbgasiii")

_DISGUISED = re.compile(r"(?<![\w@$.:/=-])[\w@$!|]{2,24}(?<=[\w@$])(?![\w@$/=-]|\.\w)", re.ASCII)
_SPACED = re.compile(r"(?<![^\W_])[a-z0-9@$](?:([ .*_-])[a-z0-9@$])(?:\1[a-z0-9@$]){2,22}(?![^\W_])", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[a-z]+[0-9]+", re.IGNORECASE)


def _skeleton(word: str) -> str:
    return word.lower().translate(_LETTERS)


_KNOWN = {_skeleton(word + ending): word + ending for word in _WORDS.split() for ending in _ENDINGS}
_KNOWN |= {_skeleton("stoopid" + ending): "stupid" + ending for ending in _ENDINGS}  # 00 stands for u


def undisguised(text: str) -> str:
    """Return the text with every insult in it spelt in plain letters, without spaces or signs between them."""
    return _DISGUISED.sub(_spelt, _SPACED.sub(_joined, text))


def _insult(spelling: str) -> str | None:
    # Not insults: 5h17 is a time, a55 a hexadecimal number, 455 a number, sh17 a road, fo01 a host.
    if sum(not character.isdigit() for character in spelling) < 2:
        return None
    if _HEXADECIMAL.fullmatch(spelling) or _IDENTIFIER.fullmatch(spelling):
        return None
    return _KNOWN.get(_skeleton(spelling))


def _spelt(match: re.Match[str]) -> str:
    written = match[0]
    return written if written.isalpha() else _insult(written) or written


def _joined(match: re.Match[str]) -> str:
    run, between = match[0], match[1]
    for start in (0, 2):  # in "a s t u p i d" the first letter is a word of its own
        if insult := _insult(run[start:].replace(between, "")):
            return run[:start] + insult
    return run
