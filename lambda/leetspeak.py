"""Replace disguised and misspelt insults, such as `1d10t`, `s/t/u/p/i/d`, `st*pid` and `idoit`, with the words meant.

Only the words listed here and in `misspellings.txt` are recognized, with two exceptions: in a text with spaces between
all letters every word is, and single signs within letters may stand for letters of a common word (`words.txt`). A
general rule would read l10n as lion, test5 as tests and $hell as shell. With the lists, versions, hashes, times, code
and names stay as they are.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

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
# Words such as th1nk and w0rd$mith. The names Open3D and Paint3D are not.
_SIGNS_IN_WORD = re.compile(r"[a-z]+(?:[0-9@$!][a-z]+)+(?<!3d)", re.IGNORECASE)
_REPEATED = re.compile(r"(.)\1+")
_REPEATED_TWICE = re.compile(r"(.)\1\1")
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[a-z]+[0-9]+", re.IGNORECASE)


def _skeleton(word: str) -> str:
    return word.lower().translate(_LETTERS)


_KNOWN = {_skeleton(word + ending): word + ending for word in _WORDS.split() for ending in _ENDINGS}
_KNOWN |= {_skeleton("stoopid" + ending): "stupid" + ending for ending in _ENDINGS}  # 00 stands for u


_BY_MASK = sorted(_KNOWN.values(), key=lambda word: not word.startswith(_OFTEN_MASKED))
_INSULTS = re.compile("|".join(sorted((word for word in _KNOWN if len(word) >= _MIN_LETTERS), key=len, reverse=True)))


def undisguised(text: str) -> str:
    """Return the text with every insult spelt correctly in plain letters, without spaces or signs between them."""
    text = _SPACED.sub(_joined, text)
    if "*" in text:
        text = _STARRED.sub(_unmasked, text)
    return _DISGUISED.sub(functools.partial(_spelt, in_capitals=text.isupper()), text)


def is_insult(word: str) -> bool:
    """Whether a word is one of the listed insults."""
    return _skeleton(word) in _KNOWN


def read_list(name: str) -> list[str]:
    """Return the words of a file beside this one, without its comments."""
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]


def _insult(spelling: str) -> str | None:
    # Not insults: 5h17 is a time, a55 a hexadecimal number, 455 a number, sh17 a road, fo01 a host.
    if sum(not character.isdigit() for character in spelling) < 2:
        return None
    if _HEXADECIMAL.fullmatch(spelling) or _IDENTIFIER.fullmatch(spelling):
        return None
    return _KNOWN.get(_skeleton(spelling))


@functools.cache
def _misspellings() -> dict[str, str]:
    """Return the correct word for each misspelling."""
    correct, found = "", {}
    for word in read_list("misspellings.txt"):
        if word.endswith(":"):
            correct = word.removesuffix(":")
        else:
            found[word] = correct
    return found


@functools.cache
def _squeezed_words() -> dict[str, str]:
    """Return the correct words, by their spellings without repeated letters."""
    return {_squeezed(word): word for word in _misspellings().values()}


@functools.cache
def _common_words() -> dict[str, list[str]]:
    """Return the common words by their skeletons."""
    found: dict[str, list[str]] = {}
    for word in read_list("words.txt"):
        found.setdefault(_skeleton(word), []).append(word)
    return found


def _squeezed(word: str) -> str:
    return _REPEATED.sub(r"\1", word)


def _spelt(match: re.Match[str], *, in_capitals: bool) -> str:
    written, text = match[0], match.string
    if any(map(str.isalpha, text[max(0, match.start() - 1) : match.start()] + text[match.end() : match.end() + 1])):
        return written  # a part of a word with letters such as \u00e4
    if not written.isalpha():
        return _insult(written) or _common_word(written) or written
    word = written.lower()
    if _REPEATED_TWICE.search(word):
        return _squeezed_words().get(_squeezed(word), written)
    # Other words with capitals may be names or abbreviations.
    readable = written.islower() or in_capitals or (written.istitle() and not match.start())
    return _misspellings().get(word, written) if readable else written


def _common_word(spelling: str) -> str | None:
    """Return the only common word that has signs in place of letters here."""
    if _HEXADECIMAL.fullmatch(spelling) or not _SIGNS_IN_WORD.fullmatch(spelling):
        return None
    words = [
        word
        for word in _common_words().get(_skeleton(spelling), ())
        if all(sign in (letter, *"0123456789@$!") for sign, letter in zip(spelling.lower(), word, strict=True))
    ]
    return words[0] if len(words) == 1 else None


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
