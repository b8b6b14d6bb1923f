"""Reply in private to the person who used a shortcut on a message or sent a slash command.

Only an invocation carries a text. The backup job on the queue has ids only. It ends if the invocation has answered.
Otherwise it fetches the message, if the bot may read it, or says that the check failed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import response_url
from .errors import ChannelRestrictedError, MessageGoneError, NotPermittedError, WrongCallError
from .message_words import read
from .slack_messages import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .jobs import Job
    from .judge import Judge
    from .ledger import Ledger
    from .settings import Settings, Thresholds
    from .slack_messages import SlackMessages

Figures = dict[str, Any]

LOST = ":hourglass: The check failed on my side, and I kept no copy of the text. Please ask again."
NOT_PASSED_ON = ":warning: I could not reach the moderators' channel. Please write to your moderators yourself."
GONE = ":ghost: The message is gone: I can't check it."
UNCONFIRMED = "answer_unconfirmed"
SHORTCUTS_OFF = "This shortcut is switched off here."
SWITCHED_OFF = "I am switched off here: I answer no reactions."
OWN = ":wave: That is a message of mine. I don't judge those."


@dataclass(frozen=True)
class Answers:
    """Gives each person who asks exactly one answer, whatever fails."""

    settings: Settings
    thresholds: Thresholds
    slack: SlackMessages
    judge: Judge
    ledger: Ledger

    def check(self, job: Job, content: Mapping[str, Any], *, retried: bool = True) -> str:  # noqa: ARG002 - a Handler
        """Judge the message that a shortcut was used on. Return the job's outcome."""
        if not self.settings.shortcuts:
            return self._once(job, lambda: (SHORTCUTS_OFF, {"outcome": "told_off"}))
        return self._once(job, lambda: self._check_message(job, content))

    def command(self, job: Job, content: Mapping[str, Any], *, retried: bool = True) -> str:  # noqa: ARG002 - a Handler
        """Answer a slash command with help, the channel's settings, or a verdict on a text."""
        words = {"help": self._help, "settings": self._channel_settings}.get(job.detail.get("word", ""))
        if words:
            return self._once(job, lambda: (words(job), {"outcome": f"told_{job.detail['word']}"}))
        return self._once(job, lambda: self._check_text(job, content))

    def _once(self, job: Job, answer: Callable[[], tuple[str, Figures]]) -> str:
        """Show an answer, once for each click. Return the job's outcome."""

        def show() -> Figures:
            text, figures = answer()
            return figures | self.reply(job, text)

        return str(self.ledger.once("ask", key_of(job), show)["outcome"])

    def reply(self, job: Job, text: str) -> Figures:
        """Show a text to the person who asked, once. Return the fields that this adds to the outcome."""

        def send() -> Figures:
            try:
                response_url.respond(job.detail, text, self.settings.api_url)
            except MessageGoneError:  # the response URL has expired: send a direct message instead
                self.slack.send_direct_message(job.reactor, text)
                return {"told": "directly"}
            return {}

        try:
            sent = self.ledger.send_once(_note_key(job), send)
        except (NotPermittedError, ChannelRestrictedError) as error:
            return {"outcome": f"untold_{error.code}"}
        return {"outcome": UNCONFIRMED} if sent is None else sent

    def _check_message(self, job: Job, content: Mapping[str, Any]) -> tuple[str, Figures]:
        try:
            message = self._message(job, content)
            if self.slack.is_own(message):
                return OWN, {"outcome": "own_message"}
        except MessageGoneError:
            return GONE, {"outcome": "message_gone"}
        except (NotPermittedError, ChannelRestrictedError):
            return LOST, {"outcome": "text_lost"}
        return self._verdict(message.raw, "the author's", job.channel)

    def _message(self, job: Job, content: Mapping[str, Any]) -> Message:
        """Return the message in `content`, or fetch it."""
        raw = content.get("message")
        if not isinstance(raw, dict):
            return self.slack.fetch(job.channel, job.ts)
        bot_id = raw.get("bot_id")
        return Message(job.channel, job.ts, job.ts, bot_id if isinstance(bot_id, str) else "", raw)

    def _check_text(self, job: Job, content: Mapping[str, Any]) -> tuple[str, Figures]:
        text = content.get("text")
        if not isinstance(text, str):
            return LOST, {"outcome": "text_lost"}
        return self._verdict({"text": text}, "your", job.channel)

    def _verdict(self, raw: Mapping[str, Any], author: str, channel: str) -> tuple[str, Figures]:
        verdict = self.judge.verdict(read(raw), channel)
        return verdict.reply(author), dict(verdict.figures())

    def _help(self, job: Job) -> str:
        command, settings = job.detail.get("command", "/toxicity"), self.settings.for_channel(job.channel)
        shortcut = " Or choose *Check for toxicity* in the menu of a message." if settings.shortcuts else ""
        verdict = f"React to a message with {_emoji(settings)}: a verdict on it, {_seen_by(settings.reply_to)}."
        return "\n".join(
            (
                f"`{command} some words`: a verdict on these words, which only you see.{shortcut}",
                SWITCHED_OFF if settings.channels.for_channel(job.channel).off else verdict,
                f"`{command} settings`: the settings of this channel.",
                "I keep no text: not of your command, and not of messages. A verdict is a model's estimate of words.",
            )
        )

    def _channel_settings(self, job: Job) -> str:
        settings = self.settings.for_channel(job.channel)
        entry = settings.channels.for_channel(job.channel)
        toxic, maybe = settings.thresholds_in(job.channel, self.thresholds)
        between = f", *may be toxic* from {100 * maybe:g}" if maybe < toxic else ""
        verdict = f"A reaction with {_emoji(settings)} asks for a verdict, {_seen_by(settings.reply_to)}."
        lines = [
            SWITCHED_OFF if entry.off else verdict,
            f"A message is labelled *likely toxic* from a score of {100 * toxic:g} of 100{between}.",
            f"In channels shared with other organisations, {_in_shared_channels(self.settings, job.channel)}.",
            "Only you see what this command and the shortcut answer.",
        ]
        if job.channel in settings.channels.watched():
            read, points = "I read every message here that a person writes", 100 * (entry.watch_threshold or toxic)
            lines.insert(1, f"{read}, and keep none. The moderators see those that score {points:g} or more.")
        return "\n".join([f"In <#{job.channel}>:", *(f"• {line}" for line in lines)])


def _emoji(settings: Settings) -> str:
    return " or ".join(f":{name}:" for name in settings.trigger_emoji)


def _seen_by(reply_to: str) -> str:
    if reply_to == "thread":
        return "which everybody in the channel sees"
    return "which only the person who reacts sees" if reply_to == "reactor" else f"which goes to <#{reply_to}>"


def _in_shared_channels(settings: Settings, channel: str) -> str:
    if settings.is_silent(channel, shared=True):
        return "I do not answer reactions"
    to = settings.for_channel(channel, shared=True).reply_to
    return "only the person who reacts sees a verdict" if to == "reactor" else "the same people see it"


def key_of(job: Job) -> str:
    """Return the ledger key of one person's click."""
    return f"{job.owner}/{job.reactor}/{job.event_id}"


def _note_key(job: Job) -> str:
    return f"ask/{key_of(job)}"


def give_up(job: Job, ledger: Ledger, api_url: str) -> None:
    """Tell the person who waits for an answer, if any, that there will be none. This needs no token."""

    def show() -> Figures:
        return {"outcome": UNCONFIRMED if ledger.send_once(_note_key(job), send) is None else "gave_up"}

    def send() -> Figures:
        with suppress(MessageGoneError, WrongCallError):
            failed = NOT_PASSED_ON if job.kind == "report" else LOST
            response_url.respond(job.detail, failed, api_url)
        return {}

    if "response_url" in job.detail:
        ledger.once("ask", key_of(job), show)
