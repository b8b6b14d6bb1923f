"""The messages that are scored: drawn from a file with a seed, or twenty of our own wording. None is printed or kept.

Messages of more tokens than an emulated CPU reads in seconds are passed over, and counted.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_build.errors import ModelBuildError
from toxicity_bot.message_text import fold
from toxicity_bot.model_directory import ModelDirectory
from toxicity_bot.model_session import ModelSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SEED = 20260401
LONGEST = 128  # tokens, the special ones included

OWN = (
    "Thanks for the quick review!",
    "lunch?",
    "The migration is done, please run the tests again when you have a minute.",
    "Who on earth merged this without looking at it?",
    "This is the most boring meeting of my life.",
    "Stop being so stubborn and read the log.",
    "You are such a clown, honestly.",
    "Nobody cares about your opinion.",
    "Great work everybody 🎉🎉 drinks are on me tonight",
    "That was a dumb mistake, sorry, fixed in the next commit.",
    "I can't stand this printer, it hates me.",
    "Your code is garbage and so is your attitude.",
    "Could somebody tell me where the slides of last week's talk are?",
    "shut up and take my money",
    "WHY IS PRODUCTION DOWN AGAIN",
    "Go away, you silly fool.",
    "I love how calm you stay when everything burns.",
    "He is wrong about the cache: entries expire after five minutes, so the second request never sees the old value.",
    "what a pathetic excuse, you always blame the others and never lift a finger yourself",
    (
        "We moved the release to Thursday because the load test showed a leak. The fix is in review, the graphs look "
        "fine since this morning, and whoever finds it again gets a cake. Please do not deploy by hand until then."
    ),
)


@dataclass(frozen=True)
class Messages:
    """Texts, the shortest first, and what may be said of them: where they come from, how long, how many left out."""

    texts: tuple[str, ...]
    origin: str
    mean_tokens: float
    passed_over: int

    @property
    def digest(self) -> str:
        """Tells whether two runs scored the same messages."""
        return hashlib.sha256("\0".join(self.texts).encode()).hexdigest()


def own(model: Path) -> Messages:
    """Return our twenty."""
    return _choose(OWN, len(OWN), "twenty of our own", _counter(model))


def drawn(path: Path, number: int, model: Path) -> Messages:
    """Draw from JSON lines with `text`, the same each time; where they have a `split`, from "test" alone."""
    try:
        with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        texts = [str(row["text"]) for row in rows if row.get("split", "test") == "test"]
    except (OSError, ValueError, lzma.LZMAError) as error:
        raise ModelBuildError(f"{path} cannot be read as JSON lines ({error}): pass another to --messages") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelBuildError(f"{path} has a line that is no object with `text`: pass another to --messages") from error
    random.Random(SEED).shuffle(texts)  # noqa: S311 - a sample, not a secret
    return _choose(texts, number, f"{path.name}, drawn with seed {SEED}", _counter(model))


def _choose(texts: Iterable[str], number: int, origin: str, tokens: Callable[[str], int]) -> Messages:
    kept: list[tuple[int, str]] = []
    passed_over = 0
    for text in texts:
        if len(kept) == number:
            break
        if not fold(text).strip():  # the bot judges no such message
            continue
        if (length := tokens(text)) > LONGEST:
            passed_over += 1
        else:
            kept.append((length, text))
    if len(kept) < number:
        raise ModelBuildError(
            f"{origin}: {len(kept)} messages of at most {LONGEST} tokens, not {number}: ask for fewer"
        )
    kept.sort()
    mean = sum(length for length, _ in kept) / number
    return Messages(tuple(text for _, text in kept), origin, mean, passed_over)


def _counter(model: Path) -> Callable[[str], int]:
    session = ModelSession(ModelDirectory.read(model), threads=1)
    return lambda text: len(session.encode(fold(text))[0]) + 2
