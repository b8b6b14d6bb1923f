"""Reports: pass a reported message on to the moderators as a card, and let them take cards.

The text and the note come with an invocation only. If that failed, the backup job fetches the message, where the bot
may, and the card says that the note was lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import card_rows, cards
from .answers import NOT_PASSED_ON, key_of
from .errors import ChannelRestrictedError, MessageGoneError, NotPermittedError
from .ledger import KEPT_SECONDS, message_id
from .message_words import read
from .observability import logger
from .report_form import words_of
from .slack_messages import CARD
from .tally import REPORTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .answers import Answers
    from .jobs import Job
    from .judge import Judge
    from .ledger import Ledger
    from .settings import Settings
    from .slack_messages import SlackMessages

PASSED_ON = ":incoming_envelope: Thank you. The moderators have your report, and nobody else sees it."
AGAIN = ":incoming_envelope: The moderators have your report of this message already."
NO_FORM = ":hourglass: The form did not open. Please choose *Report to moderators* again."
FLAG = ":triangular_flag_on_post:"
LOST = " _The note, if there was one, was lost on its way._"
UNREAD = ":grey_question: I can't judge this message: I may not read it there."


@dataclass(frozen=True)
class Reports:
    """Takes what people report, and what moderators do with it."""

    settings: Settings
    slack: SlackMessages
    judge: Judge
    answers: Answers
    ledger: Ledger

    def report(self, job: Job, given: Mapping[str, Any], *, retried: bool = True) -> str:  # noqa: ARG002 - a Handler
        """Post a card about a message, and tell the person who reported it; return how the job ended."""
        return str(self.ledger.once("report", key_of(job), lambda: self._pass_on(job, given))["outcome"])

    def _pass_on(self, job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
        if job.detail.get("form") == "failed":
            return {"outcome": "form_failed"} | self.answers.show(job, NO_FORM)
        try:
            told = self._card(job, given)
        except (NotPermittedError, ChannelRestrictedError) as error:
            logger.error(
                "a report did not reach the moderators: invite the bot to MODERATORS_CHANNEL, or name another channel",
                extra={"why": str(error)},
            )
            return {"outcome": f"report_{error.code}"} | self.answers.show(job, NOT_PASSED_ON)
        outcome = REPORTED if told == PASSED_ON else "reported_before"
        return self.answers.show(job, told) | {"outcome": outcome, "channel": job.channel}

    def _card(self, job: Job, given: Mapping[str, Any]) -> str:
        """Post the card of a message, or add to the one that it has; return what to tell the person."""
        about = message_id(job.owner, job.channel, job.ts)
        card = self.ledger.once("card", about, lambda: self._post(job, given, about))
        if card["report"] == job.event_id:
            return PASSED_ON
        if card["by"] == job.reactor:
            return AGAIN
        added = self.ledger.once("card", f"{about}{job.reactor}", lambda: self._add(job, given, about, card["post"]))
        return PASSED_ON if added["report"] == job.event_id else AGAIN

    def _add(self, job: Job, given: Mapping[str, Any], about: str, card: str) -> dict[str, Any]:
        """Add a further person's report to the thread of a card; a card that was deleted gets a successor."""
        key = f"{about}{job.event_id}"  # of the post, which does not tell who reports
        try:
            return self._post(job, given, key, card)
        except MessageGoneError:
            return self._post(job, given, key)

    def _post(self, job: Job, given: Mapping[str, Any], key: str, thread_ts: str | None = None) -> dict[str, Any]:
        """Post a card, or a further report in its thread; an earlier try may have done so without learning of it."""
        channel = self.settings.moderators_channel
        done = {"report": job.event_id, "by": job.reactor}
        if self.ledger.in_doubt:
            # Another person's try may have posted it, and Slack's clock may be behind this one.
            since = max(job.ts, f"{job.event_time - KEPT_SECONDS}.000000", key=float)
            if posted := self.slack.find_verdict(channel, thread_ts, key, since, kind=CARD):
                return done | {"post": posted}
        names = self.settings.reporter_names
        source = f"Reported by {f'<@{job.reactor}>' if names else 'somebody'}.{'' if given else LOST}"
        note = str(given.get("note", ""))
        if thread_ts:
            text, shown = "Reported again", cards.blocks("*Reported again*", "", source, note, buttons=False)
        else:
            link = self._link(job)
            text, head = f"A message was reported: {link}", f"{FLAG} *Reported message* in <#{job.channel}>: {link}"
            shown = cards.blocks(head, self._verdict(job, given), source, note)
        return done | {"post": self.slack.post(channel, text, {"key": key}, thread_ts, shown, CARD)}

    def _verdict(self, job: Job, given: Mapping[str, Any]) -> str:
        """Judge what the form kept of the message, or what the message says now; no word of it is quoted."""
        try:
            words = words_of(given) if given else read(self.slack.fetch(job.channel, job.ts).raw)
        except MessageGoneError:
            return ":ghost: The message is gone."
        except (NotPermittedError, ChannelRestrictedError):
            return UNREAD
        return self.judge.verdict(words, job.channel).without_words().reply("the author's")

    def _link(self, job: Job) -> str:
        """Return the address of the message; Slack gives none of a conversation that the bot is not in."""
        try:
            return self.slack.link(job.channel, job.ts)
        except (NotPermittedError, ChannelRestrictedError, MessageGoneError):
            return f"{self.slack.workspace_url()}archives/{job.channel}/p{job.ts.replace('.', '')}"

    def card(self, job: Job, given: Mapping[str, Any], *, retried: bool = True) -> str:  # noqa: ARG002 - a Handler
        """Do what a moderator clicked on a card, unless another one was faster; return how the job ended."""
        wanted = cards.Move(cards.STATES[job.detail["action"]], job.reactor, float(job.detail["at"]))
        try:
            holds = self._bring_up_to_date(job, wanted)
            if holds.by != job.reactor:
                self.slack.whisper(job.channel, job.reactor, cards.said_of(holds))
                return "card_taken"
        except MessageGoneError:
            return "card_gone"
        except (NotPermittedError, ChannelRestrictedError) as error:
            logger.warning("a card could not be changed", extra={"why": str(error)})
            return f"card_{error.code}"
        return f"card_{holds.state}" if holds == wanted else "card_unchanged"

    def _bring_up_to_date(self, job: Job, wanted: cards.Move) -> cards.Move:
        """Make a move if the card allows it, and let the card show the one that holds; return that."""
        # Not the owner's: the moderators of an enterprise click in several of its workspaces.
        row = f"{job.channel}/{job.ts}"
        holds, shown = card_rows.make(self.ledger.table, row, wanted), None
        while holds != shown:
            card = self.slack.fetch(job.channel, job.ts)
            if not cards.shows(card.raw.get("blocks", []), holds):
                blocks = cards.changed(card.raw.get("blocks", []), holds)
                self.slack.update(card, str(card.raw.get("text", "")), blocks)
            # A move that another click made meanwhile may have been shown before this one.
            holds, shown = card_rows.make(self.ledger.table, row, holds), holds
        return holds
