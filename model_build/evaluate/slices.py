"""Selected texts come in; parts of them that models are known to get wrong, found by rules, come out.

Each slice tests one weakness: too much weight on single words, none on what turns them round, another spelling. The
lists hold words that are neutral in themselves, and everyday swearing; slurs are left to the models.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from model_build.evaluate.selection import Selection

WORK_SOURCES = ("gh_incivility", "cmu_oss", "cat_wiki")

_IDENTITY = """
    women woman girls? men females? males? feminists? mothers? gays? lesbians? bisexuals? homosexuals? queer
    trans(?:gender)? lgbtq?\\+? muslims? islam(?:ic)? jews? jewish christians? catholics? hindus? buddhists? atheists?
    blacks? whites? asians? latin[oax]s? hispanics? africans? arabs? mexicans? chinese indians? immigrants? refugees?
    disabled autistic blind deaf
"""
_NEGATION = """
    no not never none nobody nothing nor neither without cannot cant dont doesnt didnt isnt arent wasnt werent wont
    wouldnt shouldnt couldnt \\w+n['\u2019]t
"""
_SWEARING = """
    f+u+c+k\\w* wtf shit\\w* bullshit damn(?:ed|it)? goddamn hell crap\\w* ass(?:es|hole|holes)? badass bitch\\w*
    bastards? bloody piss(?:ed|ing)? suck(?:s|ed|ing)? dick\\w* cunts? arse\\w*
"""
# What people type for a letter.
_LOOK_ALIKES = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7"}
# Names and links are placeholders in folded text, and stay what they are.
_WORD = re.compile(r"(?<![@#\w])(?!http\b)[^\W\d_]{4,}")
DISGUISED = 1 / 4  # of the words with four letters or more


@dataclass(frozen=True)
class Slice:
    """Some rows, by their place in the selection, and the texts that stand for them."""

    name: str
    rule: str
    """How the rows were found, in a sentence for people."""
    rows: npt.NDArray[np.int64]
    texts: list[str]


def slices(selection: Selection, seed: int) -> list[Slice]:
    """Return those slices that have rows; the same for the same texts and seed."""
    found = [
        _with_words(
            selection,
            "identity terms",
            _IDENTITY,
            "names a group: a gender, an orientation, a religion, an origin or a disability",
        ),
        _with_words(selection, "negation", _NEGATION, "has a word such as not, never, nobody or don't"),
        _with_words(
            selection, "swearing", _SWEARING, "has a swear word: friendly ones and toxic ones have to be told apart"
        ),
        _of_work(selection),
        _rewritten(selection, "lower case", "every text, in lower case", str.lower),
        _rewritten(
            selection,
            "leetspeak",
            "every text; in a quarter of its words of four letters or more, in one at least, a letter is replaced by a "
            "sign that looks like it, before the folding that the bot does as well",
            lambda text: disguised(text, seed),
        ),
    ]
    return [one for one in found if len(one.rows)]


def disguised(text: str, seed: int) -> str:
    """Return the text with some letters replaced, drawn by the seed and the text itself."""
    words = [match for match in _WORD.finditer(text) if set(match[0].lower()) & set(_LOOK_ALIKES)]
    if not words:
        return text
    chance = random.Random(f"{seed} {hashlib.sha256(text.encode()).hexdigest()}")  # noqa: S311 - letters, not a secret
    letters = list(text)
    for word in chance.sample(words, max(1, round(DISGUISED * len(words)))):
        places = [place for place in range(*word.span()) if letters[place].lower() in _LOOK_ALIKES]
        place = chance.choice(places)
        signs = _LOOK_ALIKES[letters[place].lower()]
        # An at sign before letters makes a name of them.
        letters[place] = chance.choice(signs.replace("@", "") if place == word.start() else signs)
    return "".join(letters)


def _with_words(selection: Selection, name: str, words: str, rule: str) -> Slice:
    pattern = re.compile(rf"\b(?:{'|'.join(words.split())})\b", re.IGNORECASE)
    found = [bool(pattern.search(text)) for text in selection.texts]
    return _part(selection, name, rule, np.flatnonzero(found))


def _of_work(selection: Selection) -> Slice:
    rows = np.flatnonzero(np.isin(selection.sources, WORK_SOURCES))
    return _part(selection, "work chat", f"is of the sources {', '.join(WORK_SOURCES)}", rows)


def _part(selection: Selection, name: str, rule: str, rows: npt.NDArray[np.int64]) -> Slice:
    return Slice(name, rule, rows, [selection.texts[row] for row in rows])


def _rewritten(selection: Selection, name: str, rule: str, rewrite: Callable[[str], str]) -> Slice:
    texts = [fold(rewrite(text)) for text in selection.texts]
    return Slice(name, rule, np.arange(len(texts)), texts)
