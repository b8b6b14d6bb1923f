"""Replace disguised insults, such as `1d10t`, `s/t/u/p/i/d` and `st*pid`, with the words that they stand for.

Only the words listed here are recognized, except in a text with spaces between all letters, where every word is. A
general rule would read l10n as lion, test5 as tests and $hell as shell. With the list, versions, hashes, times, code
and names stay as they are.
"""

from __future__ import annotations

import re

# Words that people disguise, including slurs.
_WORDS = """
    arse ass asshole bastard bitch bollocks bullshit cock coward cretin cunt damn dick dickhead disgusting dumb dumbass
    dumbfuck fag faggot filthy fool freak fuck garbage hate idiot idiotic imbecile incompetent jackass jerk kill liar
    loser lunatic moron moronic motherfucker nigga nigger pathetic piss prick psycho pussy rape retard retarded scum
    shit shithead slut stupid suck suicide trash twat ugly useless vermin wanker whore worthless
"""
_ENDINGS = ("", "s", "es", "ed", "er", "ers", "ing", "y")

# Signs and digits, and the letters that they stand for. "1" stands for i or l, so both become i here.
_LETTERS = str.maketrans("01345789@$!|l", "oieastbgasiii")

_DISGUISED = re.compile(r"(?<![\w@$.:/=-])[\w@$!|]{2,24}(?<=[\w@$])(?![\w@$/=-]|\.\w)", re.ASCII)
# Single letters with a sign, spaces, or the same two or three signs between any two.
_LETTER = "[a-z0-9@$]"
_SIGN = r"(?:[^\w\s@$]|_)"
_BETWEEN = (
    rf"(?:{_SIGN}{_LETTER})+",
    rf"(?:\s{{1,4}}{_LETTER})+",
    rf"((?:{_SIGN}|\s){{2,3}}){_LETTER}(?:\1{_LETTER})+",
)
_SPACED = re.compile(rf"(?<![^\W_]){_LETTER}(?:{'|'.join(_BETWEEN)})(?![^\W_])", re.IGNORECASE)
_GAP = re.compile(r"\s{2,}|\n")
_SIGNS = re.compile(rf"{_SIGN}|\s")
_MAX_LETTERS = 24  # of one disguised word
_MIN_LETTERS = 4  # a shorter insult in a row of letters may be a coincidence
# A word with stars in it, or with stars in place of all but its first letters.
_STARRED = re.compile(r"(?<![\w*])(?:[a-z]+(?:\*+[a-z]+)+\**|[a-z]{1,2}\*{2,})(?![\w*])", re.IGNORECASE)
_SWEARING = ("fuck", "shit", "damn", "bullshit", "piss")
_OFTEN_MASKED = (*_SWEARING, "bitch", "cunt", "dick")
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[a-z]+[0-9]+", re.IGNORECASE)


def _skeleton(word: str) -> str:
    return word.lower().translate(_LETTERS)


_KNOWN = {_skeleton(word + ending): word + ending for word in _WORDS.split() for ending in _ENDINGS}
_KNOWN |= {_skeleton("stoopid" + ending): "stupid" + ending for ending in _ENDINGS}  # 00 stands for u


_BY_MASK = sorted(_KNOWN.values(), key=lambda word: not word.startswith(_OFTEN_MASKED))
_INSULTS = re.compile("|".join(sorted((word for word in _KNOWN if len(word) >= _MIN_LETTERS), key=len, reverse=True)))


def undisguised(text: str) -> str:
    """Return the text with every insult spelled in plain letters, without spaces or signs between them."""
    text = _SPACED.sub(_joined, text)
    if "*" in text:
        text = _STARRED.sub(_unmasked, text)
    return _DISGUISED.sub(_spelt, text)


def is_insult(word: str) -> bool:
    """Whether a word is one of the listed insults."""
    return _skeleton(word) in _KNOWN


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


def _unmasked(match: re.Match[str]) -> str:
    """Return the insult that is masked by stars. If there is none, drop the stars, which would suggest one.

    Masked swearing stays: the model knows it and scores it lower than plain swearing.
    """
    written = match[0].lower()
    if len(written) >= _MIN_LETTERS:
        hidden = re.compile(written.replace("*", "[a-z]"))
        if word := next(filter(hidden.fullmatch, _BY_MASK), None):
            return match[0] if word.startswith(_SWEARING) else word
    return match[0].replace("*", "") if written.rstrip("*").count("*") else match[0]


def _joined(match: re.Match[str]) -> str:
    """Join single letters to words if wider gaps separate the words. Otherwise join only the insults among them."""
    run = match[0]
    words = [_SIGNS.sub("", word) for word in _GAP.split(run)]
    if len(words) > 1 and max(map(len, words)) >= _MIN_LETTERS:
        return " ".join(words)
    places = [place for place, character in enumerate(run) if not _SIGNS.match(character)]
    spelling = "".join(map(run.__getitem__, places))
    for start in (0, 1):  # in "a s t u p i d" the first letter is a separate word
        if 2 < len(spelling) - start <= _MAX_LETTERS and (insult := _insult(spelling[start:])):
            return run[: places[start]] + insult
    parts, end = [], 0
    for found in _INSULTS.finditer(_skeleton(spelling)):
        if insult := _insult(spelling[slice(*found.span())]):
            parts += [run[end : places[found.start()]], insult]
            end = places[found.end() - 1] + 1
    return "".join([*parts, run[end:]])
