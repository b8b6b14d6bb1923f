"""Detect words that are never quoted as what weighed most: function words, groups of people, places and persons.

The model may give them weight, but a reader would take the quotation for a statement about a group. They are detected
by lists; persons and places also by a capital letter within a sentence. So a lowercase name that is not on a list is
treated as an ordinary word, and a capitalized insult within a sentence is quoted only if `leetspeak` knows it.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from .leetspeak import is_insult, read_list

if TYPE_CHECKING:
    from collections.abc import Set

# English function words are a closed class, so this list does not grow.
_FUNCTION = """
    a an the this that these those such what which who whom whose whoever whatever where when why how i me my mine
    myself we us our ours ourselves you your yours yourself yourselves u ur ya yall he him his himself she her hers
    herself it its itself they them their theirs themselves one ones someone somebody something anyone anybody
    anything everyone everybody everything no nobody none nothing each every either neither both all any some few
    many much more most less least other others another same own am is are was were be been being im youre hes shes
    theyre isnt arent wasnt werent aint do does did done doing dont doesnt didnt have has had having havent hasnt
    hadnt can could cannot cant couldnt may might must shall should will would wont wouldnt shouldnt let lets get
    gets got go goes going gonna wanna gotta and or but nor so yet if then else than because since although though
    while until unless whether as of in on at by for with without about against between into through during before
    after above below to from up down out off over under again further here there around along across behind beyond
    near toward towards upon within not never ever only just very too quite rather really even still also already
    always often sometimes now soon maybe yes yeah ok okay oh well please like
"""
_FUNCTION_WORDS = frozenset(_FUNCTION.split())
_TITLES = frozenset({"mr", "mrs", "ms", "dr", "sir", "prof"})
_APOSTROPHES = str.maketrans("", "", "'\u2019")
_POSSESSIVE = re.compile(r"['\u2019](?:s|re|ll|ve|d|m)?$")


def unquotable(word: str, *, name_by_case: bool) -> bool:
    """Whether a word must not be quoted. `name_by_case` says whether a capital letter would make it a name."""
    lower = word.casefold()
    stem = _POSSESSIVE.sub("", lower)
    if not _FUNCTION_WORDS.isdisjoint({stem, lower.translate(_APOSTROPHES)}) or stem in _TITLES:
        return True
    if any(_is_name(part) for part in (stem, *stem.split("-"))):
        return True
    return name_by_case and word[0].isupper() and not word.isupper() and not is_insult(word)


def _is_name(word: str) -> bool:
    singulars = {word, word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("ies") + "y"}
    return not singulars.isdisjoint(_names())


@functools.cache
def _names() -> Set[str]:
    # Read on first use: only messages that may be toxic need it.
    return frozenset(read_list("names.txt"))
