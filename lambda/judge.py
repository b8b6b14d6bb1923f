"""Take one job from its ids to its end: fetch the message, judge it, post the verdict once.

Every decision about a job is here, in the order in which it happens; the modules that are passed in do the work.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import verdicts
from .errors import ChannelRestrictedError, MessageGoneError, NotPermittedError, SlackUnavailableError
from .feedback import verdict_blocks
from .ledger import KEPT_SECONDS, message_id, message_key
from .message_words import read
from .reading_budget import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .classifier import Classifier
    from .jobs import Job
    from .ledger import Ledger
    from .message_words import Words
    from .settings import Settings, Thresholds
    from .slack_messages import Message, SlackMessages
    from .verdicts import Verdict


@dataclass(frozen=True)
class Judge:
    """Takes jobs to their end."""

    settings: Settings
    thresholds: Thresholds
    slack: SlackMessages
    classifier: Classifier
    ledger: Ledger
    clock: Callable[[], float] = time.monotonic

    def judge(self, job: Job, *, retried: bool = True) -> str:
        """Return how the job ended, as a value for a metric; raises BotError if it must be retried or cannot end.

        `retried` says whether earlier tries of this job may have left something behind.
        """
        try:
            try:
                return self._judged(job, self._settled(job) if retried else "")
            except MessageGoneError:
                return self._gone(job, retried)
        except ChannelRestrictedError as error:
            return f"restricted_{error.code}"
        except NotPermittedError as error:
            return self._hint(job, error)

    def _here(self, job: Job) -> Settings:
        """Return what holds in the channel of a job's message."""
        return self.settings.of(job.channel, shared=job.shared)

    def _settled(self, job: Job) -> str:
        """Go on with a search for a verdict that an earlier try could not end; return the key that was looked for.

        It is a step of its own, since Slack may allow one call a minute, too few to read a reply and to search its
        thread in one try.
        """
        about = id_of(job)
        search = self.ledger.noted(about)
        key = str(search.get("key", ""))
        if "since" in search:
            posted = self._find(about, search)
            found = {"outcome": "found", "post": posted, "channel": job.channel}
            self.ledger.settle("verdict", key, found if posted else None)
            self.ledger.note(about, {"key": key})
        return key

    def _find(self, about: str, search: dict[str, Any]) -> str | None:
        """Look for a verdict; note where the search was when Slack delayed it."""
        try:
            return self.slack.find_verdict(**search)
        except SlackUnavailableError as error:
            self.ledger.note(about, search | {"cursor": error.reached})
            raise

    def _judged(self, job: Job, searched: str) -> str:
        """Judge the message as it reads now; no verdict with the key `searched` exists outside of the ledger."""
        message = self.slack.fetch(job.channel, job.ts)
        if self.slack.is_own(message):
            return "own_message"
        here = self._here(job)
        if not here.judge_after_removal and not self.slack.still_reacted(message, here.trigger_emoji):
            return "reaction_removed"
        words = read(message.raw)
        key = key_of(job, words)
        # An answer that only the reactor sees is given once to each reactor.
        once = f"{key}/{job.reactor}" if here.reply_to == "reactor" else key
        return str(self.ledger.once("verdict", once, lambda: self._say(job, message, words, key, searched))["outcome"])

    def _gone(self, job: Job, retried: bool) -> str:
        """End the job; delete a verdict that was posted after its thread was deleted, if that failed at the time."""
        if retried and self._here(job).reply_to == "thread":
            self.slack.take_back(job.channel, id_of(job))
        return "message_gone"

    def _say(self, job: Job, message: Message, words: Words, key: str, searched: str) -> dict[str, Any]:
        """Post the verdict, unless an earlier try already did without learning of its success."""
        to = self._here(job).reply_to
        channel, thread_ts = (job.channel, message.thread_ts) if to in ("thread", "reactor") else (to, None)
        # A verdict is never older than its message, nor older than what the ledger keeps.
        since = max(message.ts, f"{job.event_time - KEPT_SECONDS}.000000", key=float)
        search = {"channel": channel, "thread_ts": thread_ts, "key": key, "since": since}
        about = id_of(job)
        if self._may_exist(to, message, key, searched) and (posted := self._find(about, search)):
            return {"outcome": "found", "post": posted, "channel": job.channel}
        verdict = self.verdict(words, job.channel)
        figures = verdict.figures()
        mark = {"key": key, **figures}
        if to == "reactor":
            in_thread = message.thread_ts if message.thread_ts != message.ts else None
            text = verdict.reply("the author's")
            self.slack.whisper(job.channel, job.reactor, text, in_thread, self._blocks(text, key, figures))
            posted = ""
        elif thread_ts:
            text = verdict.reply()
            posted = self.slack.post(channel, text, mark, thread_ts, self._blocks(text, key, figures))
        else:
            # Readers of another channel may not be allowed to see the message, so no word is quoted.
            reply = verdict.without_words().reply("the author's")
            text = f"{self.slack.link(message.channel, message.ts)}\n{reply}"
            posted = self.slack.post(channel, text, mark, blocks=self._blocks(text, key, figures))
        return {"post": posted, "channel": job.channel, **figures}

    def _blocks(self, text: str, key: str, figures: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """Return the verdict with buttons to say that it is right or wrong, if the owner wants them."""
        return verdict_blocks(text, key, figures) if self.settings.feedback else None

    def verdict(self, words: Words, channel: str) -> Verdict:
        """Judge the author's own words, and those that the message quotes or forwards, apart, as set for a channel."""
        return self.verdict_by(words, self.settings.thresholds_in(channel, self.thresholds))

    def verdict_by(self, words: Words, thresholds: Thresholds) -> Verdict:
        """Judge with these thresholds.

        The shorter ones have half of the time that there is for a message, if they need it, the longer ones the rest.
        """
        until = self.clock() + SECONDS
        judged: dict[str, Verdict] = {}
        for waiting, text in zip((2, 1), sorted((words.own, words.quoted), key=len), strict=True):
            seconds = (until - self.clock()) / waiting
            judged[text] = self.classifier.verdict(text, thresholds, seconds)
        return verdicts.apart(judged[words.own], judged[words.quoted], code=bool(words.code), whole=words.whole)

    def _may_exist(self, to: str, message: Message, key: str, searched: str) -> bool:
        """Whether a verdict that the ledger does not know of may have been posted."""
        if to == "reactor":
            return False
        if self.ledger.in_doubt:
            return True
        # The ledger of another region may know of it.
        return to == "thread" and key != searched and self.slack.has_replied(message)

    def _hint(self, job: Job, error: NotPermittedError) -> str:
        """Tell the person who reacted, once, why there is no verdict."""
        key = f"{id_of(job)}{job.reactor}"

        def tell() -> dict[str, Any]:
            try:
                self.slack.tell(job.reactor, verdicts.hint(error.channel or job.channel, error.code, error.scope))
            except (NotPermittedError, ChannelRestrictedError) as untold:
                return {"outcome": f"untold_{untold.code}"}
            except SlackUnavailableError as unanswered:
                # A private message cannot be looked for later: rather none than two.
                if unanswered.may_yet_happen:
                    return {"outcome": "hint_unconfirmed"}
                raise
            return {"outcome": f"hint_{error.code}"}

        return str(self.ledger.once("hint", key, tell)["outcome"])


def id_of(job: Job) -> str:
    """Return the beginning of all keys of a job's message."""
    return message_id(job.owner, job.channel, job.ts)


def key_of(job: Job, words: Words) -> str:
    """Return the ledger's key of a message whose words are these."""
    return message_key(job.owner, job.channel, job.ts, words.own, words.quoted, words.code)
