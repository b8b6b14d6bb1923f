"""Decide on a score and word the verdict. The functions are pure: no model, no Slack, no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from .message_text import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Thresholds

Outcome = Literal["toxic", "maybe_toxic", "fine", "cannot_judge"]

_HEADS = {
    "toxic": ":warning: *Likely toxic*",
    "maybe_toxic": ":large_orange_diamond: *May be toxic*",
    "fine": ":white_check_mark: *Probably fine*",
}

# Names of the languages that are most common at work; others are given by their code.
_LANGUAGES = {
    "ar": "Arabic", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "es": "Spanish",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """The verdict on a message. `score` is the probability that it is toxic, or None if it cannot be judged."""

    outcome: Outcome
    thresholds: Thresholds
    score: float | None = None
    words: tuple[str, ...] = ()
    windows: int = 1
    reason: str = ""

    def reply(self) -> str:
        """Return the text of the reply in Slack's mrkdwn; quoted words are escaped."""
        if self.score is None:
            return f":grey_question: *I can't judge this message:* {self.reason}"
        lines = [f"{_HEADS[self.outcome]} \u2013 the chance that it is toxic is {_percent(self.score)}."]
        # The owner sets the thresholds, so less than 50 % may be called likely, and more than 50 % may not.
        if (self.outcome == "toxic") != (self.score >= 0.5):
            lines[0] += f" Likely means {100 * self.thresholds.toxic:g} % or more here."
        if self.words:
            quoted = ", ".join(f"\u201c{_quotable(word)}\u201d" for word in self.words)
            lines.append(f"What weighed most: {quoted}.")
        if self.windows > 1:
            lines.append(f"It is long: I read it in {self.windows} overlapping parts, and the most toxic one counts.")
        if self.outcome != "fine":
            lines.append("_A model's estimate of the words, not a judgement of the person._")
        return "\n".join(lines)

    def figures(self) -> dict[str, str | float]:
        """Return the outcome, the thresholds and, if there is one, the score, for programs."""
        score = {} if self.score is None else {"score": round(self.score, 4)}
        toxic, maybe = self.thresholds
        return {"outcome": self.outcome, "threshold": toxic, "threshold_maybe": maybe, **score}

    def without_words(self) -> Verdict:
        """Return the same verdict without quoted words, for readers who may not see the message."""
        return replace(self, words=())


def decide(score: float, thresholds: Thresholds, words: Sequence[str] = (), windows: int = 1) -> Verdict:
    """Return the verdict on a score. A score equal to a threshold counts as above it. A fine verdict has no words."""
    if score < thresholds.maybe:
        return Verdict("fine", thresholds, score, (), windows)
    outcome: Outcome = "toxic" if score >= thresholds.toxic else "maybe_toxic"
    return Verdict(outcome, thresholds, score, tuple(words), windows)


def nothing_to_judge(thresholds: Thresholds) -> Verdict:
    """Return the verdict on a message without words."""
    return Verdict("cannot_judge", thresholds, reason="there are no words in it, only emoji, links, mentions or files.")


def not_english(code: str, thresholds: Thresholds) -> Verdict:
    """Return the verdict on a message in a language that the model does not read; `code` is ISO 639."""
    language = _LANGUAGES.get(code, f"a language that I know as \u201c{code}\u201d")
    return Verdict("cannot_judge", thresholds, reason=f"it seems to be in {language}, and I read English only.")


def hint(channel: str, code: str, scope: str | None) -> str:
    """Return the text for the person who reacted if the bot lacks access; `code` is Slack's error code."""
    where = f"<#{channel}>"
    if code == "missing_scope":
        return (
            f":key: I can't judge the message in {where}: this app lacks the permission `{scope or 'unknown'}`. "
            "Whoever manages the app can add it under *OAuth &amp; Permissions* and install the app again."
        )
    return f":wave: I can't read {where}: I am not a member. Invite me with `/invite` there, then react again."


def _percent(probability: float) -> str:
    if probability > 0.99:
        return "over 99 %"
    if probability < 0.01:
        return "under 1 %"
    # Rounded down, so that a score below a threshold is not shown as having reached it. 0.29 is 28.999999999999996 %.
    return f"{math.floor(round(100 * probability, 6))} %"


def _quotable(word: str) -> str:
    """Return a word shortened, and without characters that would open or close formatting."""
    return escape(word[:40]).replace("*", "\u2217").replace("`", "'").replace("_", "\u02cd").replace("~", "\u223c")
