"""Handle a reaction's job: fetch the message, judge it, post the verdict once.

The decisions about a job are all here, in the order in which they are made. The modules that are passed in do the work.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import verdicts
from .errors import ChannelRestrictedError, MessageGoneError, NotPermittedError, SlackUnavailableError
from .feedback import verdict_blocks
from .ledger import RETENTION_SECONDS, message_id, message_key
from .message_words import read
from .observability import logger
from .reading_budget import BUDGET_SECONDS

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
    """Handles the jobs of reactions."""

    settings: Settings
    thresholds: Thresholds
    slack: SlackMessages
    classifier: Classifier
    ledger: Ledger
    clock: Callable[[], float] = time.monotonic

    def judge(self, job: Job, *, retried: bool = True) -> str:
        """Handle a job and return its outcome, as a metric value. Raises BotError if it must be retried or fails.

        `retried` says whether earlier attempts may have left something behind.
        """
        try:
            try:
                return self._judge_message(job, self._finish_search(job) if retried else "")
            except MessageGoneError:
                return self._message_gone(job, retried)
        except (ChannelRestrictedError, NotPermittedError) as error:
            return self._refused(job, error)

    def _channel_settings(self, job: Job) -> Settings:
        """Return the settings for the channel of a job's message."""
        return self.settings.for_channel(job.channel, shared=job.shared)

    def _finish_search(self, job: Job) -> str:
        """Continue a search for a verdict that an earlier attempt could not finish. Return the key searched for.

        This is a separate step because Slack may allow only one call a minute. That is too few to read a reply and
        search its thread in one attempt.
        """
        note_key = id_of(job)
        search = self.ledger.read_note(note_key)
        key = str(search.get("key", ""))
        if "since" in search:
            posted = self._find(note_key, search)
            found = {"outcome": "found", "post": posted, "channel": job.channel}
            self.ledger.resolve("verdict", key, found if posted else None)
            self.ledger.write_note(note_key, {"key": key})
        return key

    def _find(self, note_key: str, search: dict[str, Any]) -> str | None:
        """Search for a verdict. If Slack delays the search, store its position in a note."""
        try:
            posted = self.slack.find_post(**search)
        except SlackUnavailableError as error:
            self.ledger.write_note(note_key, search | {"cursor": error.cursor})
            raise
        return posted.ts if posted else None

    def _judge_message(self, job: Job, searched: str) -> str:
        """Judge the message's current text. No verdict with the key `searched` exists that the ledger does not know."""
        message = self.slack.fetch(job.channel, job.ts)
        if self.slack.is_own(message):
            return "own_message"
        settings = self._channel_settings(job)
        private = settings.reply_to == "reactor"
        by = job.reactor if private else ""
        if not settings.judge_after_removal and not self.slack.has_reaction(message, settings.trigger_emoji, by):
            return "reaction_removed"
        words = read(message.raw)
        key = key_of(job, words)
        # A verdict that only the reactor sees is posted once for each reactor.
        verdict_key = f"{key}/{job.reactor}" if private else key
        done = self.ledger.once("verdict", verdict_key, lambda: self._post_verdict(job, message, words, key, searched))
        return str(done["outcome"])

    def _message_gone(self, job: Job, retried: bool) -> str:
        """End the job. Delete a verdict that was posted after its thread was gone, if that failed before."""
        if retried and self._channel_settings(job).reply_to == "thread":
            self.slack.delete_stray_verdicts(job.channel, id_of(job))
        return "message_gone"

    def _post_verdict(self, job: Job, message: Message, words: Words, key: str, searched: str) -> dict[str, Any]:
        """Post the verdict, unless an earlier attempt did so without learning that it succeeded."""
        to = self._channel_settings(job).reply_to
        channel, thread_ts = (job.channel, message.thread_ts) if to in ("thread", "reactor") else (to, None)
        # A verdict is never older than its message, nor than the ledger's retention period.
        since = max(message.ts, f"{job.event_time - RETENTION_SECONDS}.000000", key=float)
        search = {"channel": channel, "thread_ts": thread_ts, "key": key, "since": since}
        note_key = id_of(job)
        if self._may_exist(to, message, key, searched) and (posted := self._find(note_key, search)):
            return {"outcome": "found", "post": posted, "channel": job.channel}
        # Quote no words in another channel: its readers may not be allowed to see the message.
        verdict = self.verdict(words, job.channel, explain=channel == job.channel)
        figures = verdict.figures()
        if to == "reactor":
            in_thread = message.thread_ts if message.thread_ts != message.ts else None
            text = verdict.reply("the author's")
            blocks = self._blocks(text, key, figures)

            def show() -> dict[str, Any]:
                self.slack.post_ephemeral(job.channel, job.reactor, text, in_thread, blocks)
                return figures

            shown = self.ledger.send_once(f"reactor/{key}/{job.reactor}", show)
            return {"outcome": "verdict_unconfirmed", "post": "", "channel": job.channel, **(shown or {})}
        text = verdict.reply() if thread_ts else verdict.reply("the author's")
        if not thread_ts:
            text = f"{self.slack.link(message.channel, message.ts)}\n{text}"
        self.ledger.renew()
        posted = self.slack.post(channel, text, {"key": key, **figures}, thread_ts, self._blocks(text, key, figures))
        return {"post": posted, "channel": job.channel, **figures}

    def _blocks(self, text: str, key: str, figures: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """Return the verdict with feedback buttons, if FEEDBACK is on."""
        return verdict_blocks(text, key, figures) if self.settings.feedback else None

    def verdict(self, words: Words, channel: str, *, explain: bool = True) -> Verdict:
        """Judge the author's own words and the quoted words separately, with the thresholds of a channel.

        `explain=False` leaves out the words that weighed most, for readers who may not see the message.
        """
        thresholds = self.settings.thresholds_in(channel, self.thresholds)
        return self.verdict_with_thresholds(words, thresholds, explain=explain)

    def verdict_with_thresholds(self, words: Words, thresholds: Thresholds, *, explain: bool) -> Verdict:
        """Judge the author's own words and the quoted words separately, with these thresholds.

        The shorter text gets up to half of the time budget of a message, the longer text the rest.
        """
        deadline = self.clock() + BUDGET_SECONDS
        judged: dict[str, Verdict] = {}
        for remaining, text in zip((2, 1), sorted((words.own, words.quoted), key=len), strict=True):
            seconds = (deadline - self.clock()) / remaining
            judged[text] = self.classifier.verdict(text, thresholds, seconds, explain=explain)
        return verdicts.combine(judged[words.own], judged[words.quoted], code=bool(words.code), whole=words.whole)

    def _may_exist(self, to: str, message: Message, key: str, searched: str) -> bool:
        """Whether there may be a verdict that the ledger does not know."""
        if to == "reactor":
            return False
        if self.ledger.in_doubt:
            return True
        # The ledger of another region may know it.
        return to == "thread" and key != searched and self.slack.has_replied(message)

    def _refused(self, job: Job, error: ChannelRestrictedError | NotPermittedError) -> str:
        """Handle Slack's refusal to let the bot read the message, or post the verdict. Return the job's outcome."""
        to = self._channel_settings(job).reply_to
        if to not in ("thread", "reactor") and error.channel == to:
            why = {"why": str(error)}
            logger.error("verdict not posted: invite the bot to the channel of REPLY_TO, or choose another", extra=why)
            return self._hint(job, f"undelivered_{error.code}", verdicts.UNDELIVERED)
        if isinstance(error, ChannelRestrictedError):
            return f"restricted_{error.code}"
        hint = verdicts.hint(error.channel or job.channel, error.code, error.scope)
        return self._hint(job, f"hint_{error.code}", hint)

    def _hint(self, job: Job, outcome: str, hint: str) -> str:
        """Tell the person who reacted why there is no verdict, once."""
        key = f"{id_of(job)}{job.reactor}"

        def tell() -> dict[str, Any]:
            try:
                return self.ledger.send_once(f"hint/{key}", send) or {"outcome": "hint_unconfirmed"}
            except (NotPermittedError, ChannelRestrictedError) as refusal:
                return {"outcome": f"untold_{refusal.code}"}

        def send() -> dict[str, Any]:
            self.slack.send_direct_message(job.reactor, hint)
            return {"outcome": outcome}

        return str(self.ledger.once("hint", key, tell)["outcome"])


def id_of(job: Job) -> str:
    """Return the prefix of all keys of a job's message."""
    return message_id(job.owner, job.channel, job.ts)


def key_of(job: Job, words: Words) -> str:
    """Return the ledger key of a message with these words."""
    return message_key(job.owner, job.channel, job.ts, words.own, words.quoted, words.code)
