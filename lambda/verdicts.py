"""Turn a score and two thresholds into a verdict, and a verdict into the text that people read."""

from __future__ import annotations

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
    "fine": ":white_circle: *No clear sign of toxicity*",
}

_VERDICTS = {"toxic": "likely toxic", "maybe_toxic": "may be toxic", "fine": "no clear sign of toxicity"}

UNDELIVERED = (
    ":warning: I could not post the verdict in the channel where verdicts go. Please tell the people who run this app."
)
_NO_WORDS = "there are no words in it, only emoji, links, mentions, code or files."
_CODE = "I did not judge the code in it."
_PARTLY = "It is nested too deep or too large to be read whole: the rest was not judged."
_JUDGED = ("outcome", "score", "read")  # the fields kept of a verdict on quoted words

# Common languages. Any other is called by its code.
_LANGUAGES = {
    "ar": "Arabic", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "es": "Spanish",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """A verdict on a message. `score` is the probability that it is toxic, or None if it cannot be judged."""

    outcome: Outcome
    thresholds: Thresholds
    score: float | None = None
    words: tuple[str, ...] = ()
    windows: int = 1
    reason: str = ""
    share: float = 1.0
    """The share of the words that was read."""
    subject: Literal["message", "own", "quoted"] = "message"
    """What was judged: the whole message, the author's own words beside quoted ones, or only quoted words."""
    quoted: Verdict | None = None
    """The verdict on words that the author quotes or forwards. It does not change the outcome."""
    notes: tuple[str, ...] = ()
    """What was not judged."""
    language: str = ""
    """ISO 639 code: en for a text that was judged, empty if there are no words."""
    rest: float | None = None
    """The score without `words`, if it was measured."""

    def reply(self, author: str = "your") -> str:
        """Return the reply in Slack's mrkdwn, with quoted words escaped. `author` is a possessive, such as `your`."""
        subject = {"message": "it", "own": f"{author} own words", "quoted": "the quoted message"}[self.subject]
        if self.score is None:
            about = "this message" if self.subject == "message" else subject
            lines = [f":grey_question: *I can't judge {about}:* {self.reason}"]
        else:
            verb = "score" if self.subject == "own" else "scores"
            lines = [f"{_HEADS[self.outcome]} \u2013 {subject} {verb} {self._points(self.score)}."]
            # Thresholds are configurable, so a score below 0.5 can be likely toxic, or one above it not.
            if (self.outcome == "toxic") != (self.score >= 0.5):
                lines[0] += f" Likely means {100 * self.thresholds.toxic:g} or more here."
        if self.words:
            quoted = ", ".join(f"\u201c{_quotable(word)}\u201d" for word in self.words)
            lines.append(f"What weighed most: {quoted}.{self._without_them()}")
        they_are, them = ("They are", "them") if self.subject == "own" else ("It is", "it")
        if self.share < 1:
            parts = (
                "." if self.score is None else ", the beginning, the end and parts between. The most toxic part counts."
            )
            lines.append(f"{they_are} too long to read whole: I read {_hundredths(self.share)} %{parts}")
        elif self.windows > 1:
            read = f"I read {them} in {self.windows} overlapping parts, and the most toxic one counts."
            lines.append(f"{they_are} long: {read}")
        if self.quoted:
            lines.append(self._about_the_quoted(self.quoted, author))
        elif self.subject == "quoted":
            lines.append("The author added no words of their own.")
        lines += self.notes
        if {self.outcome, self.quoted.outcome if self.quoted else "fine"} & {"toxic", "maybe_toxic"}:
            lines.append("_A model's estimate of the words, not a judgement of the person._")
        return "\n".join(lines)

    def _without_them(self) -> str:
        """Return a sentence on what the verdict would be without the words that weighed most."""
        if self.rest is None:
            return ""
        them = "it" if len(self.words) == 1 else "them"
        outcome = decide(self.rest, self.thresholds).outcome
        if outcome == self.outcome:
            return f" The verdict does not depend on {them} alone."
        return f" Without {them} the verdict would be \u201c{_VERDICTS[outcome]}\u201d."

    def _points(self, score: float) -> str:
        """Return the score as points of 100, with as many digits as it takes to be on the right side of the thresholds.

        Points are not a percentage: if toxicity is rare, fewer than 80 of 100 messages with 80 points are toxic.
        """
        for digits in range(6):
            shown = round(100 * score, digits)
            if all((shown >= round(100 * threshold, 6)) == (score >= threshold) for threshold in self.thresholds):
                break
        return f"{_hundredths(score, digits)} of 100"

    def _about_the_quoted(self, quoted: Verdict, author: str) -> str:
        part = f" I read {_hundredths(quoted.share)} % of it." if quoted.share < 1 else ""
        if quoted.score is None:
            return f"I can't judge the quoted message: {quoted.reason}{part}"
        verb = {"toxic": "is ", "maybe_toxic": "", "fine": "shows "}[quoted.outcome]
        apart = f"; {author} own words show no clear sign of it" if self.outcome == "fine" != quoted.outcome else ""
        points = quoted._points(quoted.score)
        return f"The quoted message {verb}{_VERDICTS[quoted.outcome]}{apart}. It scores {points}.{part}"

    def figures(self) -> dict[str, str | float]:
        """Return the outcome and the thresholds, the score if there is one, and the share read if it is below 1."""
        score: dict[str, str | float] = {} if self.score is None else {"score": round(self.score, 4)}
        if self.quoted:
            score |= {f"quoted_{name}": value for name, value in self.quoted.figures().items() if name in _JUDGED}
        toxic, maybe = self.thresholds
        read = {} if self.share == 1 else {"read": round(self.share, 4)}
        return {"outcome": self.outcome, "threshold": toxic, "threshold_maybe": maybe, **score, **read}


def combine(own: Verdict, quoted: Verdict, *, code: bool = False, whole: bool = True) -> Verdict:
    """Combine the verdicts on the author's own words and on quoted words. Either may be on no words at all.

    The author's own words decide the outcome. `code` says whether the message has code blocks, which are not judged.
    `whole` says whether all of the message was read.
    """
    notes = (*([_CODE] if code else []), *([] if whole else [_PARTLY]))
    if quoted.reason == _NO_WORDS:
        return replace(own, notes=notes)
    if own.reason == _NO_WORDS:
        return replace(quoted, subject="quoted", notes=notes)
    return replace(own, subject="own", quoted=quoted, notes=notes)


def decide(
    score: float, thresholds: Thresholds, words: Sequence[str] = (), windows: int = 1, share: float = 1.0
) -> Verdict:
    """Compare a score with the thresholds. A score equal to a threshold reaches it. A fine verdict quotes no words."""
    if score < thresholds.maybe:
        return Verdict("fine", thresholds, score, (), windows, share=share, language="en")
    outcome: Outcome = "toxic" if score >= thresholds.toxic else "maybe_toxic"
    return Verdict(outcome, thresholds, score, tuple(words), windows, share=share, language="en")


def nothing_to_judge(thresholds: Thresholds) -> Verdict:
    """Return the verdict on a message without words."""
    return Verdict("cannot_judge", thresholds, reason=_NO_WORDS)


def not_english(code: str, thresholds: Thresholds) -> Verdict:
    """Return the verdict on a message in a language that the model cannot read. `code` is an ISO 639 code."""
    reason = f"it seems to be in {language_name(code)}, and I read English only."
    return Verdict("cannot_judge", thresholds, reason=reason, language=code)


def language_name(code: str) -> str:
    """Return the English name of an ISO 639 code."""
    return _LANGUAGES.get(code, f"a language with the code \u201c{code}\u201d")


def hint(channel: str, code: str, scope: str | None) -> str:
    """Return the hint to the person who reacted if the bot lacks a permission. `code` is Slack's error code."""
    where = f"<#{channel}>"
    if code == "missing_scope":
        return (
            f":key: I can't judge the message in {where}: this app lacks the permission `{scope or 'unknown'}`. "
            "Whoever manages the app can add it under *OAuth &amp; Permissions* and install the app again."
        )
    if code not in ("not_in_channel", "channel_not_found"):
        return (
            f":lock: I can't read {where}: Slack does not allow it (`{code}`). Please tell the people who run this app."
        )
    return f":wave: I can't read {where}: I am not a member. Invite me with `/invite` there, then react again."


def _hundredths(share: float, digits: int = 0) -> str:
    if share > 0.99:
        return "over 99"
    return "under 1" if share < 0.01 else f"{100 * share:.{digits}f}"


def _quotable(word: str) -> str:
    """Shorten a quoted word, and replace characters that would start or end formatting."""
    return escape(word[:40]).replace("*", "\u2217").replace("`", "'").replace("_", "\u02cd").replace("~", "\u223c")
