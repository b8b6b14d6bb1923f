"""Replace disguised and misspelt insults, such as `1d10t`, `s/t/u/p/i/d`, `st*pid` and `idoit`, with the words meant.

Only the words listed here are recognized, with two exceptions: in a text with spaces between all letters every word is,
and single signs within letters may stand for letters of a common word (`words.txt`). A general rule would read l10n as
lion, test5 as tests and $hell as shell. With the lists, versions, hashes, times, code and names stay as they are.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Words that people disguise, including slurs.
_WORDS = """
    arrogant arse ass asshole bastard bigot bitch bollocks buffoon bullshit clown clueless cock corrupt coward
    cowardly crap cretin cunt damn degenerate delusional dick dickhead disgrace disgusting dumb dumbass dumbfuck fag
    faggot fascist filthy fool foolish freak fuck garbage goddamn greedy hate hypocrite hypocritical idiocy idiot
    idiotic ignorance ignorant imbecile inbred incompetent jackass jerk kill lazy liar loser lunatic moron moronic
    motherfucker narcissist nasty nazi nigga nigger parasite pathetic pervert piss prick psycho punk pussy racist
    rape rapist redneck retard retarded ridiculous savage scum scumbag selfish sexist shameful shit shithead slut
    stink stupid stupidity subhuman suck suicide terrorist thug traitor trash troll twat ugly uneducated useless
    vermin vile wanker whore worthless
"""
_ENDINGS = ("", "s", "es", "ed", "er", "ers", "ing", "y")
# Forms of these words that people misspell, besides each word itself and the plural of a long one.
_FORMS = """
    bitches fucked fucker fuckers fucking hated killed killer killing pissed pissing pussies shitty sucked sucker
    suckers sucking sucks
"""
# Words and names that look like an insult with a typing error, or are likelier to be an error in another word.
_OTHER_WORDS = """
    admn anker ankers ansty ares ated biot carp certin clow cnut dman elfish exist exists filth filths foll frak
    fuckin garage garages greed hatte hatted idioti igot illed inbed inbreed itch itches killin lair lira looser
    loosers lose loses moon moons morn moro moroni nast niger nigers omron pick picks pissin psych psychs puss
    pusses rappe rase rash reak reaks reedy retin rick ricks roll rolls sink sinks stik stin suckin tash tink tinks
    toll tolls tras verin viel ville waker wakers whre wore
"""

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
_MIN_LETTERS_IF_ONE_IS_DROPPED = 5
_REPEATED = re.compile(r"(.)\1+")
# A word with stars in it, or with stars in place of all but its first letters.
_STARRED = re.compile(r"(?<![\w*])(?:[a-z]+(?:\*+[a-z]+)+\**|[a-z]{1,2}\*{2,})(?![\w*])", re.IGNORECASE)
_SWEARING = ("fuck", "shit", "damn", "bullshit", "piss")
_OFTEN_MASKED = (*_SWEARING, "bitch", "cunt", "dick")
_SINGLE_SIGNS = re.compile(r"[0-9]?[a-z]+(?:[0-9@$!][a-z]+)*", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[a-z]+[0-9]+", re.IGNORECASE)


def _skeleton(word: str) -> str:
    return word.lower().translate(_LETTERS)


_KNOWN = {_skeleton(word + ending): word + ending for word in _WORDS.split() for ending in _ENDINGS}
_KNOWN |= {_skeleton("stoopid" + ending): "stupid" + ending for ending in _ENDINGS}  # 00 stands for u


def _squeezed(word: str) -> str:
    return _REPEATED.sub(r"\1", word)


def _slips(word: str) -> Iterator[str]:
    """Yield the word with two neighbouring letters swapped and, if it is long, with one letter dropped."""
    for place, letter in enumerate(word):
        yield word[:place] + word[place + 1 : place + 2] + letter + word[place + 2 :]
        if len(word) >= _MIN_LETTERS_IF_ONE_IS_DROPPED:
            yield word[:place] + word[place + 1 :]


_SPELT = {word for word in _WORDS.split() if len(word) >= _MIN_LETTERS} | {*_FORMS.split()}
_SPELT |= {f"{word}s" for word in _WORDS.split() if len(word) >= _MIN_LETTERS_IF_ONE_IS_DROPPED}
_CORRECT = _SPELT.union(_KNOWN.values(), _OTHER_WORDS.split())
_MISSPELT = {slip: word for word in sorted(_SPELT, reverse=True) for slip in _slips(word) if slip not in _CORRECT}
_LENGTHENED = {_squeezed(word): word for word in _SPELT}
_BY_MASK = sorted(_KNOWN.values(), key=lambda word: not word.startswith(_OFTEN_MASKED))
_INSULTS = re.compile("|".join(sorted((word for word in _KNOWN if len(word) >= _MIN_LETTERS), key=len, reverse=True)))


def undisguised(text: str) -> str:
    """Return the text with every insult spelt correctly in plain letters, without spaces or signs between them."""
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
    if written.isalpha():
        return _corrected(written) or written
    return _insult(written) or _common_word(written) or written


def _common_word(spelling: str) -> str | None:
    """Return the common word in which some letters are replaced by signs here."""
    if _HEXADECIMAL.fullmatch(spelling) or not _SINGLE_SIGNS.fullmatch(spelling):
        return None
    return _common_words().get(_skeleton(spelling))


@functools.cache
def _common_words() -> Mapping[str, str]:
    # Read on first use: few messages need it.
    lines = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").splitlines()
    return {_skeleton(word): word for line in lines if not line.startswith("#") for word in line.split()}


def _corrected(spelling: str) -> str | None:
    """Return the insult that is spelt here with two letters swapped, with one dropped, or with some repeated."""
    word = spelling.lower()
    if word in _CORRECT:
        return None
    squeezed = _squeezed(word)
    return _MISSPELT.get(word) or (_LENGTHENED.get(squeezed) if squeezed != word else None)


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
