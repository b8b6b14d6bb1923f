"""Watch channels: judge what people write there, and show the moderators what is likely toxic.

Nobody else sees anything of it. Each message has a job of its own, so that none is lost; the first job reads all
messages that came after its own in one call, since Slack limits reads, and the jobs of those then end at once.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import cards
from .errors import (
    ChannelRestrictedError,
    ClaimedError,
    LedgerError,
    MessageGoneError,
    NotPermittedError,
    SlackError,
)
from .ledger import message_id
from .message_events import DELETED, EDITED, by_person
from .message_words import read
from .observability import logger
from .reading_lease import reading
from .settings import Thresholds
from .slack_messages import CARD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .jobs import Job
    from .judge import Judge
    from .ledger import Ledger
    from .settings import Settings
    from .slack_messages import Message, SlackMessages
    from .verdicts import Verdict

# Seconds of the channel that a job reads. Without an end, it would find the newest messages of a long queue.
SPAN = 300
# Seconds after which no further message of another job is begun; one may take ten, of the thirty that the worker has.
MOST_SECONDS = 10.0
SOURCE = "This channel is watched. Nobody but you sees this."


@dataclass(frozen=True)
class Watching:
    """Takes the messages of watched channels to their ends."""

    settings: Settings
    thresholds: Thresholds
    slack: SlackMessages
    judge: Judge
    ledger: Ledger
    clock: Callable[[], float] = time.monotonic

    def watch(self, job: Job, given: Mapping[str, Any], *, retried: bool = True) -> str:  # noqa: ARG002 - a Handler
        """Judge a message of a watched channel as it is now; return how the job ended."""
        if job.channel not in self.settings.channels.watched():
            return "not_watched"
        follow = {DELETED: self._deleted, EDITED: self._edited}.get(job.detail.get("change", ""), self._new)
        try:
            return follow(job)
        except MessageGoneError:
            return "message_gone"
        except (NotPermittedError, ChannelRestrictedError) as error:
            logger.error(
                "a watched channel cannot be read, or the moderators cannot be told: invite the bot to both channels",
                extra={"why": str(error)},
            )
            return f"watch_{error.code}"

    def _new(self, job: Job) -> str:
        """Judge a new message, and those that came after it."""
        noted = self.ledger.noted(_mark(job, job.ts))
        if "with" in noted:
            return "watched_with_others"
        thread_ts = job.detail.get("thread_ts")
        latest = str(noted.get("before") or f"{float(job.ts) + SPAN:.6f}")
        until = self.clock() + MOST_SECONDS
        with reading(self.ledger.table, f"{job.owner}/{job.channel}/{thread_ts or ''}", job.ts):
            while True:
                messages = self.slack.between(job.channel, job.ts, latest, thread_ts)
                own = next((one for one in messages if one.ts == job.ts), None)
                if not own and (not messages or messages[0].ts == latest):
                    own = self.slack.fetch(job.channel, job.ts)
                if own:
                    ended = self._judged(job, own)
                self._judge_others(job, [one for one in messages if one.ts != job.ts and by_person(one.raw)], until)
                if own:
                    return ended
                # It is on an earlier page, with which the next try begins if this one fails.
                latest = messages[0].ts
                self.ledger.note(_mark(job, job.ts), {"before": latest})

    def _judge_others(self, job: Job, messages: Sequence[Message], until: float) -> None:
        """Judge messages whose jobs wait, as far as there is time."""
        for message in messages:
            if self.clock() > until:
                break
            try:
                self._judged(job, message)
                self.ledger.note(_mark(job, message.ts), {"with": job.ts})
            except (SlackError, LedgerError, ClaimedError):  # its own job tries again
                break

    def _judged(self, job: Job, message: Message) -> str:
        if not by_person(message.raw):
            return "not_by_a_person"
        verdict = self._verdict(job, message)
        if verdict.outcome == "toxic":
            self._card(job, message, verdict)
        return f"watched_{verdict.outcome}"

    def _verdict(self, job: Job, message: Message) -> Verdict:
        toxic = self.settings.thresholds_in(job.channel, self.thresholds).toxic
        watch = self.settings.channels.of(job.channel).watch_threshold or toxic
        return self.judge.verdict_by(read(message.raw), Thresholds(watch, watch))

    def _card(self, job: Job, message: Message, verdict: Verdict) -> dict[str, Any]:
        """Return the card of a message, which gets one if it has none; a report may have made it."""
        about = message_id(job.owner, message.channel, message.ts)
        return self.ledger.once("card", about, lambda: self._post(job, message, verdict, about))

    def _post(self, job: Job, message: Message, verdict: Verdict, about: str) -> dict[str, Any]:
        channel = self.settings.moderators_channel
        done = {"report": job.event_id, "by": "watch"}
        if self.ledger.in_doubt and (posted := self.slack.find_verdict(channel, None, about, message.ts, kind=CARD)):
            return done | {"post": posted}
        link = self.slack.link(message.channel, message.ts)
        head = f":eyes: *Message in a watched channel* {link}"
        shown = cards.blocks(head, verdict.without_words().reply("the author's"), SOURCE)
        text = f"A message in a watched channel is likely toxic: {link}"
        return done | {"post": self.slack.post(channel, text, {"key": about}, None, shown, CARD)}

    def _edited(self, job: Job) -> str:
        """Judge an edited message anew: the card says what it reads as now, or there is one now."""
        message = self.slack.fetch(job.channel, job.ts)
        if not by_person(message.raw):
            return "not_by_a_person"
        verdict = self._verdict(job, message)
        if verdict.outcome == "toxic":
            card = self._card(job, message, verdict)
            if card["report"] == job.event_id:
                return "watched_toxic"
        elif (found := self.ledger.settle("card", message_id(job.owner, job.channel, job.ts))) is not None:
            card = found
        else:
            return f"watched_{verdict.outcome}"
        now, *_ = verdict.without_words().reply("the author's").splitlines()
        return self._tell(card, cards.EDITED.format(verdict=now), job)

    def _deleted(self, job: Job) -> str:
        """Let the card of a message say that the message was deleted."""
        card = self.ledger.settle("card", message_id(job.owner, job.channel, job.ts))
        return self._tell(card, cards.DELETED, job) if card else "message_gone"

    def _tell(self, card: Mapping[str, Any], line: str, job: Job) -> str:
        """Add to a card what became of its message."""
        with suppress(MessageGoneError):
            shown = self.slack.fetch(self.settings.moderators_channel, card["post"])
            blocks = cards.with_fate(shown.raw.get("blocks", []), line, job.event_time)
            self.slack.update(shown, str(shown.raw.get("text", "")), blocks)
            return "card_followed"
        return "card_gone"


def _mark(job: Job, ts: str) -> str:
    return f"{message_id(job.owner, job.channel, ts)}watched"
