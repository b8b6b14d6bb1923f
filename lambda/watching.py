"""Watched channels: judge every message that people write there, and show likely toxic ones to the moderators.

Nobody else sees the results. Each message has its own job, so that none is lost. Slack limits reads, so the first job
reads all messages after its own in one call. The jobs of those messages then end at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import card_rows, cards
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

# A job reads messages up to this long after its own. Without a limit, Slack would return the newest ones of a long
# backlog.
MAX_SPAN_SECONDS = 300
# Stop starting on other jobs' messages after this many seconds. One message can take 10 s, and the worker times out at
# 30 s.
MAX_SECONDS = 10.0
SOURCE = "This channel is watched. Nobody but you sees this."


@dataclass(frozen=True)
class Watching:
    """Handles the jobs for messages in watched channels."""

    settings: Settings
    thresholds: Thresholds
    slack: SlackMessages
    judge: Judge
    ledger: Ledger
    clock: Callable[[], float] = time.monotonic

    def watch(self, job: Job, content: Mapping[str, Any], *, retried: bool = True) -> str:  # noqa: ARG002 - a Handler
        """Judge the current state of a message in a watched channel. Return the job's outcome."""
        if job.channel not in self.settings.channels.watched():
            return "not_watched"
        handle = {DELETED: self._deleted, EDITED: self._edited}.get(job.detail.get("change", ""), self._new)
        try:
            return handle(job)
        except MessageGoneError:
            return "message_gone"
        except (NotPermittedError, ChannelRestrictedError) as error:
            logger.error(
                "cannot read a watched channel or post to MODERATORS_CHANNEL: invite the bot to both channels",
                extra={"why": str(error)},
            )
            return f"watch_{error.code}"

    def _new(self, job: Job) -> str:
        """Judge a new message and those after it."""
        note = self.ledger.read_note(_note_key(job, job.ts))
        if "with" in note:
            return "watched_with_others"
        thread_ts = job.detail.get("thread_ts")
        latest = str(note.get("before") or f"{float(job.ts) + MAX_SPAN_SECONDS:.6f}")
        deadline = self.clock() + MAX_SECONDS
        with reading(self.ledger.table, f"{job.owner}/{job.channel}/{thread_ts or ''}", job.ts):
            while True:
                messages = self.slack.list_messages(job.channel, job.ts, latest, thread_ts)
                own = next((message for message in messages if message.ts == job.ts), None)
                if not own and (not messages or messages[0].ts == latest):
                    own = self.slack.fetch(job.channel, job.ts)
                if own:
                    ended = self._judged(job, own)
                others = [message for message in messages if message.ts != job.ts and by_person(message.raw)]
                self._judge_others(job, others, deadline)
                if own:
                    return ended
                # The message is on an earlier page. If this attempt fails, the next one starts there.
                latest = messages[0].ts
                self.ledger.write_note(_note_key(job, job.ts), {"before": latest})

    def _judge_others(self, job: Job, messages: Sequence[Message], deadline: float) -> None:
        """Judge messages whose jobs are waiting, as time allows."""
        for message in messages:
            if self.clock() > deadline:
                break
            try:
                self._judged(job, message)
                self.ledger.write_note(_note_key(job, message.ts), {"with": job.ts})
            except (SlackError, LedgerError, ClaimedError):  # the message's own job retries
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
        watch = self.settings.channels.for_channel(job.channel).watch_threshold or toxic
        return self.judge.verdict_with_thresholds(read(message.raw), Thresholds(watch, watch), explain=False)

    def _card(self, job: Job, message: Message, verdict: Verdict) -> dict[str, Any]:
        """Return the card of a message; post one if there is none. A report may already have created it."""
        card_key = message_id(job.owner, message.channel, message.ts)
        return self.ledger.once("card", card_key, lambda: self._post(job, message, verdict, card_key))

    def _post(self, job: Job, message: Message, verdict: Verdict, card_key: str) -> dict[str, Any]:
        channel = self.settings.moderators_channel
        if self.ledger.in_doubt and (found := card_rows.find(self.slack, channel, card_key, message.ts)):
            return found
        link = self.slack.link(message.channel, message.ts)
        head = f":eyes: *Message in a watched channel* {link}"
        shown = cards.blocks(head, verdict.reply("the author's"), SOURCE)
        text = f"A message in a watched channel is likely toxic: {link}"
        self.ledger.renew()
        payload = {"key": card_key, "report": job.event_id}
        return {"report": job.event_id, "by": "", "post": self.slack.post(channel, text, payload, None, shown, CARD)}

    def _edited(self, job: Job) -> str:
        """Judge an edited message again. Update its card, or post one if the message is now likely toxic."""
        message = self.slack.fetch(job.channel, job.ts)
        if not by_person(message.raw):
            return "not_by_a_person"
        verdict = self._verdict(job, message)
        if verdict.outcome == "toxic":
            card = self._card(job, message, verdict)
            if card["report"] == job.event_id:
                return "watched_toxic"
        elif (found := self._card_of(job)) is not None:
            card = found
        else:
            return f"watched_{verdict.outcome}"
        now, *_ = verdict.reply("the author's").splitlines()
        return self._update_card(card, cards.edited(job.event_time, now))

    def _deleted(self, job: Job) -> str:
        """Let the card of a message say that the message was deleted."""
        card = self._card_of(job)
        return self._update_card(card, cards.deleted(job.event_time)) if card else "message_gone"

    def _card_of(self, job: Job) -> dict[str, Any] | None:
        """Return the card of a message, even if Slack did not confirm it. None if there is no card."""
        key, channel = message_id(job.owner, job.channel, job.ts), self.settings.moderators_channel
        return self.ledger.finished("card", key, lambda: card_rows.find(self.slack, channel, key, job.ts))

    def _update_card(self, card: Mapping[str, Any], change: cards.MessageChange) -> str:
        """Let a card say what happened to its message."""
        channel, ts = self.settings.moderators_channel, card["post"]
        card_rows.note(self.ledger.table, channel, ts, change)
        try:
            card_rows.show(self.ledger.table, self.slack, channel, ts)
        except MessageGoneError:
            return "card_gone"
        return "card_followed"


def _note_key(job: Job, ts: str) -> str:
    return f"{message_id(job.owner, job.channel, ts)}watched"
