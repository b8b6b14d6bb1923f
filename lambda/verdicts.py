"""A score and a threshold -> a Verdict, and the words that people read. Pure: no model, no Slack, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from message_text import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

Outcome = Literal["toxic", "fine", "cannot_judge"]

# Names for the languages that workplaces write most; any other is told by its code.
_LANGUAGES = {
    "ar": "Arabic", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "es": "Spanish",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What is said about a message. `score` is the probability that it is toxic, none where it cannot be judged."""

    outcome: Outcome
    threshold: float
    score: float | None = None
    words: tuple[str, ...] = ()
    windows: int = 1
    reason: str = ""

    def reply(self) -> str:
        """Return the words for people, in Slack's mrkdwn, with all that is quoted escaped."""
        if self.score is None:
            return f":grey_question: *I can't judge this message:* {self.reason}"
        if self.outcome == "toxic":
            head = f":warning: *Likely toxic* \u2013 I am {_percent(self.score)} sure."
        else:
            head = f":white_check_mark: *Probably fine* \u2013 the chance that it is toxic is {_percent(self.score)}."
        lines = [head]
        if self.words:
            quoted = ", ".join(f"\u201c{_quotable(word)}\u201d" for word in self.words)
            lines.append(f"What weighed most: {quoted}.")
        if self.windows > 1:
            lines.append(f"It is long: I read it in {self.windows} overlapping parts, and the most toxic one counts.")
        if self.outcome == "toxic":
            lines.append("_A model's estimate of the words, not a judgement of the person._")
        return "\n".join(lines)

    def figures(self) -> dict[str, str | float]:
        """Return what programs want to know: the outcome, the threshold and, where there is one, the score."""
        score = {} if self.score is None else {"score": round(self.score, 4)}
        return {"outcome": self.outcome, "threshold": self.threshold, **score}

    def without_words(self) -> Verdict:
        """Return the same verdict with nothing quoted, for readers who may not see the message."""
        return replace(self, words=())


def decide(score: float, threshold: float, words: Sequence[str] = (), windows: int = 1) -> Verdict:
    """Judge a score: toxic from the threshold on. Words are told only of what is called toxic."""
    if score >= threshold:
        return Verdict("toxic", threshold, score, tuple(words), windows)
    return Verdict("fine", threshold, score, (), windows)


def nothing_to_judge(threshold: float) -> Verdict:
    """Return the verdict on a message without words."""
    return Verdict("cannot_judge", threshold, reason="there are no words in it, only emoji, links, mentions or files.")


def not_english(code: str, threshold: float) -> Verdict:
    """Return the verdict on a message in a language that the model does not read; `code` is ISO 639."""
    language = _LANGUAGES.get(code, f"a language that I know as \u201c{code}\u201d")
    return Verdict("cannot_judge", threshold, reason=f"it seems to be in {language}, and I read English only.")


def hint(channel: str, code: str, scope: str | None) -> str:
    """Return what the person who reacted is told when the bot may not do its work; `code` is Slack's."""
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
    return "under 1 %" if probability < 0.01 else f"{probability:.0%}".replace("%", " %")


def _quotable(word: str) -> str:
    """Keep a quoted word from closing or opening formatting, and from filling the screen."""
    return escape(word[:40]).replace("*", "\u2217").replace("`", "'").replace("_", "\u02cd").replace("~", "\u223c")
