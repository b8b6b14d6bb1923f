"""Reports: post a card about a reported message to the moderators, and handle their clicks on cards.

Only an invocation carries the text and the note. If it fails, the backup job fetches the message, if the bot may read
it, and the card says that the note was lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import card_rows, cards
from .answers import NOT_PASSED_ON, key_of
from .errors import ChannelRestrictedError, MessageGoneError, NotPermittedError
from .ledger import RETENTION_SECONDS, message_id
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
AGAIN = ":incoming_envelope: The moderators already have your report of this message."
NO_FORM = ":hourglass: The form did not open. Please choose *Report to moderators* again."
FLAG = ":triangular_flag_on_post:"
LOST = " _The note, if there was one, could not be delivered._"
UNREAD = ":grey_question: I can't judge this message: I have no access to that conversation."


@dataclass(frozen=True)
class Reports:
    """Handles reports, and moderators' clicks on cards."""

    settings: Settings
    slack: SlackMessages
    judge: Judge
    answers: Answers
    ledger: Ledger

    def report(self, job: Job, content: Mapping[str, Any], *, retried: bool = True) -> str:  # noqa: ARG002 - a Handler
        """Post a card about a message and confirm this to the person who reported it. Return the job's outcome."""
        return str(self.ledger.once("report", key_of(job), lambda: self._forward(job, content))["outcome"])

    def _forward(self, job: Job, content: Mapping[str, Any]) -> dict[str, Any]:
        if job.detail.get("form") == "failed":
            return {"outcome": "form_failed"} | self.answers.reply(job, NO_FORM)
        try:
            reply = self._post_or_add(job, content)
        except (NotPermittedError, ChannelRestrictedError) as error:
            logger.error(
                "report not posted: invite the bot to MODERATORS_CHANNEL, or choose another channel",
                extra={"why": str(error)},
            )
            return {"outcome": f"report_{error.code}"} | self.answers.reply(job, NOT_PASSED_ON)
        outcome = REPORTED if reply == PASSED_ON else "reported_before"
        return self.answers.reply(job, reply) | {"outcome": outcome, "channel": job.channel}

    def _post_or_add(self, job: Job, content: Mapping[str, Any]) -> str:
        """Post a card about a message, or add a report to its card. Return the reply to the person."""
        card_key = message_id(job.owner, job.channel, job.ts)
        card = self.ledger.once("card", card_key, lambda: self._post(job, content, card_key))
        if card["report"] == job.event_id:
            return PASSED_ON
        if card["by"] == job.reactor:
            return AGAIN
        added = self.ledger.once(
            "card", f"{card_key}{job.reactor}", lambda: self._add_report(job, content, card_key, card["post"])
        )
        return PASSED_ON if added["report"] == job.event_id else AGAIN

    def _add_report(self, job: Job, content: Mapping[str, Any], card_key: str, card: str) -> dict[str, Any]:
        """Add another person's report to the thread of a card. If the card was deleted, post a new one."""
        key = f"{card_key}{job.event_id}"  # the key of the post must not reveal who reports
        try:
            return self._post(job, content, key, card)
        except MessageGoneError:
            return self._post(job, content, key)

    def _post(self, job: Job, content: Mapping[str, Any], key: str, thread_ts: str | None = None) -> dict[str, Any]:
        """Post a card, or another report in its thread, unless an earlier attempt did so without learning it."""
        channel = self.settings.moderators_channel
        done = {"report": job.event_id, "by": job.reactor}
        # Slack's clock may be behind this one.
        since = max(job.ts, f"{job.event_time - RETENTION_SECONDS}.000000", key=float)
        if self.ledger.in_doubt and (found := card_rows.find(self.slack, channel, key, since, thread_ts)):
            return found | ({"by": job.reactor} if found["report"] == job.event_id else {})
        names = self.settings.reporter_names
        source = f"Reported by {f'<@{job.reactor}>' if names else 'somebody'}.{'' if content else LOST}"
        note = str(content.get("note", ""))
        if thread_ts:
            text, shown = "Reported again", cards.blocks("*Reported again*", "", source, note, buttons=False)
        else:
            link = self._link(job)
            text, head = f"A message was reported: {link}", f"{FLAG} *Reported message* in <#{job.channel}>: {link}"
            shown = cards.blocks(head, self._verdict(job, content), source, note)
        self.ledger.renew()
        payload = {"key": key, "report": job.event_id}
        return done | {"post": self.slack.post(channel, text, payload, thread_ts, shown, CARD)}

    def _verdict(self, job: Job, content: Mapping[str, Any]) -> str:
        """Judge the words that the form stored, or the current message. Quote none of them."""
        try:
            words = words_of(content) if content else read(self.slack.fetch(job.channel, job.ts).raw)
        except MessageGoneError:
            return ":ghost: The message is gone."
        except (NotPermittedError, ChannelRestrictedError):
            return UNREAD
        return self.judge.verdict(words, job.channel, explain=False).reply("the author's")

    def _link(self, job: Job) -> str:
        """Return a link to the message. Slack gives no permalink if the bot is not in the conversation."""
        try:
            return self.slack.link(job.channel, job.ts)
        except (NotPermittedError, ChannelRestrictedError, MessageGoneError):
            return f"{self.slack.workspace_url()}archives/{job.channel}/p{job.ts.replace('.', '')}"

    def card(self, job: Job, content: Mapping[str, Any], *, retried: bool = True) -> str:  # noqa: ARG002 - a Handler
        """Apply a moderator's click on a card, unless another moderator was faster. Return the job's outcome."""
        wanted = cards.StateChange(cards.STATES[job.detail["action"]], job.reactor, float(job.detail["at"]))
        try:
            current = card_rows.apply(self.ledger.table, job.channel, job.ts, wanted)
            card_rows.show(self.ledger.table, self.slack, job.channel, job.ts)
            if current.by != job.reactor:
                self.slack.post_ephemeral(job.channel, job.reactor, cards.describe(current))
                return "card_taken"
        except MessageGoneError:
            return "card_gone"
        except (NotPermittedError, ChannelRestrictedError) as error:
            logger.warning("card could not be changed", extra={"why": str(error)})
            return f"card_{error.code}"
        return f"card_{current.state}" if current == wanted else "card_unchanged"
