"""One job from its ids to its end: fetch the message, judge it, say so once.

All that decides what happens to a job stands here, in the order in which it happens; how is the business of the
modules it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import emoji_names, verdicts
from .errors import ChannelRestrictedError, MessageGoneError, NotPermittedError, SlackUnavailableError
from .ledger import KEPT_SECONDS, message_key
from .message_language import foreign_language
from .message_text import fold, from_message, has_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .classifier import Classifier
    from .jobs import Job
    from .ledger import Ledger
    from .settings import Settings, Thresholds
    from .slack_messages import Message, SlackMessages
    from .verdicts import Verdict


class Judge:
    """Takes jobs to their end, whatever the end is."""

    def __init__(
        self, settings: Settings, thresholds: Thresholds, slack: SlackMessages, classifier: Classifier, ledger: Ledger
    ) -> None:
        self._settings = settings
        self._thresholds = thresholds
        self._slack = slack
        self._classifier = classifier
        self._ledger = ledger

    def judge(self, job: Job) -> str:
        """Return how the job ended, in a word for a metric; raises a BotError if it must come again or cannot end."""
        try:
            try:
                return self._judged(job)
            except MessageGoneError:
                return self._gone(job)
        except ChannelRestrictedError as error:
            return f"restricted_{error.code}"
        except NotPermittedError as error:
            return self._hint(job, error)

    def _judged(self, job: Job) -> str:
        message = self._slack.fetch(job.channel, job.ts)
        if self._slack.is_own(message):
            return "own_message"
        if not self._settings.judge_after_removal and not self._slack.still_reacted(
            message, self._settings.trigger_emoji
        ):
            return "reaction_removed"
        key = message_key(job.team, job.channel, job.ts, message.edited_ts)
        # What one person alone is shown is said once to each of them.
        once = f"{key}/{job.reactor}" if self._settings.reply_to == "reactor" else key
        return str(self._ledger.once("verdict", once, lambda: self._say(job, message, key))["outcome"])

    def _gone(self, job: Job) -> str:
        """End quietly; a verdict that fell out of the vanished thread, and could not be taken back then, is now."""
        if self._settings.reply_to == "thread":
            self._slack.take_back(job.channel, message_key(job.team, job.channel, job.ts, ""))
        return "message_gone"

    def verdict(self, text: str) -> Verdict:
        """Judge a text, or say why it cannot be judged."""
        # Folding may uncover words and may leave none: both must be there to judge.
        written = fold(text, emoji=emoji_names.left_out)
        if not has_words(text) or not has_words(written):
            return verdicts.nothing_to_judge(self._thresholds)
        if language := foreign_language(text):
            return verdicts.not_english(language, self._thresholds)
        assessment = self._classifier.assess(text)
        words: tuple[str, ...] = ()
        if assessment.toxicity >= self._thresholds.maybe:
            words = _as_written(self._classifier.words(assessment), text, written)
        return verdicts.decide(assessment.toxicity, self._thresholds, words, assessment.windows)

    def _say(self, job: Job, message: Message, key: str) -> dict[str, Any]:
        """Post the verdict, unless an earlier try that never learned of its success already did."""
        to = self._settings.reply_to
        channel, thread_ts = (job.channel, message.thread_ts) if to in ("thread", "reactor") else (to, None)
        # No verdict is older than what it is about, nor than what the ledger would still know.
        since = max(message.edited_ts or message.ts, f"{job.event_time - KEPT_SECONDS}.000000", key=float)
        if to != "reactor" and (posted := self._slack.find_verdict(channel, thread_ts, key, since)):
            return {"outcome": "found", "post": posted}
        verdict = self.verdict(from_message(message.raw))
        mark = {"key": key, **verdict.figures()}
        if to == "reactor":
            in_thread = message.thread_ts if message.thread_ts != message.ts else None
            self._slack.whisper(job.channel, job.reactor, verdict.reply(), in_thread)
            posted = ""
        elif thread_ts:
            posted = self._slack.post(channel, verdict.reply(), mark, thread_ts)
        else:
            # In another channel the words would tell what was said in a place that its readers may not see.
            elsewhere = f"{self._slack.permalink(message)}\n{verdict.without_words().reply()}"
            posted = self._slack.post(channel, elsewhere, mark)
        return {"post": posted, **verdict.figures()}

    def _hint(self, job: Job, error: NotPermittedError) -> str:
        """Tell the one who reacted, once, why there is no verdict; only they are waiting for one."""
        key = f"{job.team}/{job.channel}/{job.ts}/{job.reactor}"

        def tell() -> dict[str, Any]:
            try:
                self._slack.tell(job.reactor, verdicts.hint(error.channel or job.channel, error.code, error.scope))
            except (NotPermittedError, ChannelRestrictedError) as untold:
                return {"outcome": f"untold_{untold.code}"}
            except SlackUnavailableError as unanswered:
                # Nobody can look for it: rather none than two.
                if unanswered.may_yet_happen:
                    return {"outcome": "hint_unconfirmed"}
                raise
            return {"outcome": f"hint_{error.code}"}

        return str(self._ledger.once("hint", key, tell)["outcome"])


def _as_written(words: Sequence[str], text: str, written: str) -> tuple[str, ...]:
    """Return the words that weighed most, each once; what an emoji is called is nobody's word, so it stands itself."""
    letters, emoji = written.casefold(), emoji_names.behind_words(text)
    quoted = (word if word.casefold() in letters else emoji.get(word, "") for word in words)
    return tuple(dict.fromkeys(filter(None, quoted)))
