"""Every environment variable that the bot reads, validated, as one frozen object.

A SettingError names the variable and says what to write. This module reads no secret store and opens no connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .channel_settings import AUDIENCES, ChannelSettings, check_thresholds
from .errors import SettingError
from .setting_values import CHANNEL_ID, EMOJI, FRACTION, channel_in, emoji_advice, fraction_advice

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# docs/configuration.md explains each variable; a test compares the two. An empty string means not set.
DEFAULTS: Mapping[str, str] = {
    "SLACK_SECRET_ID": "",
    "SLACK_SIGNING_SECRET": "",
    "SLACK_BOT_TOKEN": "",
    "SLACK_API_URL": "https://slack.com/api/",
    "JOBS_QUEUE_URL": "",
    "LEDGER_TABLE": "",
    "MODEL_DIR": "/opt/model",
    "TRIGGER_EMOJI": "biohazard_sign",
    "TOXIC_THRESHOLD": "",
    "MAYBE_TOXIC_THRESHOLD": "",
    "REPLY_TO": "thread",
    "IGNORED_REACTORS": "",
    "JUDGE_AFTER_REMOVAL": "yes",
    "REPLY_IN_SHARED_CHANNELS": "reactor",
    "CHANNEL_SETTINGS": "",
    "MAX_EVENT_AGE_HOURS": "6",
    "ATTRIBUTE_ALIASES": "",
    "API_KEY_HASHES": "",
    "REQUESTS_PER_SECOND_PER_KEY": "10",
    "WORKER_FUNCTION": "",
    "SHORTCUTS": "yes",
    "SLASH_COMMAND": "yes",
    "FEEDBACK": "yes",
    "MODERATORS_CHANNEL": "",
    "REPORTER_NAMES": "yes",
}

# template.yaml has the same patterns; a test compares them.
_ATTRIBUTE = re.compile(r"[A-Z_]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_USER_ID = re.compile(r"[UW][A-Z0-9]+")
_ADDRESS = re.compile(r"https?://\S+")


class Secret(str):
    """A string whose repr hides its value in logs of settings and in tracebacks with local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"


class Thresholds(NamedTuple):
    """Scores at or above which a message is likely toxic, and may be toxic. If equal, no message "may be toxic"."""

    toxic: float
    maybe: float


@dataclass(frozen=True)
class Settings:
    """The validated settings."""

    secret_id: str
    signing_secrets: tuple[Secret, ...]
    bot_token: Secret
    api_url: str
    jobs_queue_url: str
    ledger_table: str
    model_dir: Path
    trigger_emoji: tuple[str, ...]
    toxic_threshold: float | None
    maybe_toxic_threshold: float | None
    reply_to: str
    ignored_reactors: frozenset[str]
    judge_after_removal: bool
    reply_in_shared_channels: str
    """`reactor`: only the person who asked sees a verdict; `yes`: as in other channels; `no`: no verdicts."""
    channels: ChannelSettings
    max_event_age: float
    """Seconds."""
    attribute_aliases: Mapping[str, str]
    """Attributes of the Perspective API that get the score of TOXICITY."""
    api_key_hashes: tuple[str, ...]
    """The SHA-256 of each API key, or `none` if no key is needed."""
    requests_per_second_per_key: float
    worker_function: str
    """Name or ARN of the worker that the receiver invokes with texts; empty: it invokes none."""
    shortcuts: bool
    slash_command: bool
    feedback: bool
    """Whether verdicts have feedback buttons."""
    moderators_channel: str
    """The channel for cards; empty: there are no reports."""
    reporter_names: bool
    """Whether the moderators learn who reports."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], needs: Collection[str] = ()) -> Settings:
        """Read and validate all variables. Those in `needs` must be set.

        `SLACK_SECRET_ID` can take the place of `SLACK_SIGNING_SECRET` and `SLACK_BOT_TOKEN`.
        """
        value = {name: environ.get(name, "").strip() or default for name, default in DEFAULTS.items()}
        for name in needs:
            _require(name, value)
        if not _ADDRESS.fullmatch(value["SLACK_API_URL"]):
            raise SettingError("SLACK_API_URL", "must begin with https:// (or http:// for a local server).")
        toxic, maybe = (_threshold(name, value) for name in ("TOXIC_THRESHOLD", "MAYBE_TOXIC_THRESHOLD"))
        if toxic is not None and maybe is not None:
            _check_order(toxic, maybe)
        channels = ChannelSettings.from_json(value["CHANNEL_SETTINGS"])
        moderators, reply_to = _channel("MODERATORS_CHANNEL", value), _reply_to(value["REPLY_TO"])
        channels.check_moderators(moderators)
        if reply_to == "moderators" and not moderators:
            raise SettingError("REPLY_TO", "is 'moderators', but there is none: set MODERATORS_CHANNEL to its id.")
        return cls(
            secret_id=value["SLACK_SECRET_ID"],
            signing_secrets=tuple(Secret(item) for item in _items(value["SLACK_SIGNING_SECRET"])),
            bot_token=Secret(value["SLACK_BOT_TOKEN"]),
            api_url=value["SLACK_API_URL"].rstrip("/") + "/",
            jobs_queue_url=value["JOBS_QUEUE_URL"],
            ledger_table=value["LEDGER_TABLE"],
            model_dir=Path(value["MODEL_DIR"]),
            trigger_emoji=_trigger_emoji(value["TRIGGER_EMOJI"]),
            toxic_threshold=toxic,
            maybe_toxic_threshold=maybe,
            reply_to=moderators if reply_to == "moderators" else reply_to,
            ignored_reactors=_users(value["IGNORED_REACTORS"]),
            judge_after_removal=_yes_or_no("JUDGE_AFTER_REMOVAL", value),
            reply_in_shared_channels=_one_of("REPLY_IN_SHARED_CHANNELS", value, ("reactor", "yes", "no")),
            channels=channels,
            max_event_age=_number("MAX_EVENT_AGE_HOURS", value, 0, 24 * 14) * 3600,
            attribute_aliases=_aliases(value["ATTRIBUTE_ALIASES"]),
            api_key_hashes=_hashes(value["API_KEY_HASHES"]),
            requests_per_second_per_key=_number("REQUESTS_PER_SECOND_PER_KEY", value, 0, 10_000),
            worker_function=value["WORKER_FUNCTION"],
            shortcuts=_yes_or_no("SHORTCUTS", value),
            slash_command=_yes_or_no("SLASH_COMMAND", value),
            feedback=_yes_or_no("FEEDBACK", value),
            moderators_channel=moderators,
            reporter_names=_yes_or_no("REPORTER_NAMES", value),
        )

    def for_channel(self, channel: str, *, shared: bool = False) -> Settings:
        """Return the settings for a channel. `shared` says whether it is shared with other organisations.

        In a shared channel only the person who asked sees a verdict, unless REPLY_IN_SHARED_CHANNELS or the channel's
        own entry says otherwise. A verdict on a direct message to the bot stays there.
        """
        entry = self.channels.for_channel(channel)
        verdicts = self.channels.own_entry(channel).verdicts
        if not verdicts:
            private = shared and self.reply_in_shared_channels != "yes"
            verdicts = "reactor" if private else entry.verdicts or self.reply_to
        if channel.startswith("D") and verdicts != "reactor":
            verdicts = "thread"  # only this person and the bot can read a direct message
        return replace(
            self,
            reply_to=self.moderators_channel if verdicts == "moderators" else verdicts,
            trigger_emoji=entry.emoji or self.trigger_emoji,
        )

    def is_silent(self, channel: str, *, shared: bool) -> bool:
        """Whether a channel gets no verdicts because it is shared with other organisations."""
        return shared and self.reply_in_shared_channels == "no" and not self.channels.own_entry(channel).verdicts

    def thresholds(self, model: Thresholds) -> Thresholds:
        """Return the thresholds, from the settings or the model. Raises SettingError if the lower is above the upper.

        If only TOXIC_THRESHOLD is set and is below the model's lower threshold, both are equal. Thresholds of channels
        are checked too.
        """
        toxic = model.toxic if self.toxic_threshold is None else self.toxic_threshold
        if self.maybe_toxic_threshold is not None:
            _check_order(toxic, self.maybe_toxic_threshold)
            found = Thresholds(toxic, self.maybe_toxic_threshold)
        else:
            found = Thresholds(toxic, min(model.maybe, toxic))
        for channel in self.channels.entries:
            own, entry = self.thresholds_in(channel, found), self.channels.for_channel(channel)
            check_thresholds(channel, own.toxic, entry.maybe_toxic_threshold, entry.watch_threshold)
        return found

    def thresholds_in(self, channel: str, default: Thresholds) -> Thresholds:
        """Return the thresholds for a channel. `default` applies to channels without an entry."""
        entry = self.channels.for_channel(channel)
        toxic = default.toxic if entry.toxic_threshold is None else entry.toxic_threshold
        maybe = default.maybe if entry.maybe_toxic_threshold is None else entry.maybe_toxic_threshold
        return Thresholds(toxic, min(maybe, toxic))


def _require(name: str, value: Mapping[str, str]) -> None:
    in_secret = name in ("SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN")
    if value[name] or (in_secret and value["SLACK_SECRET_ID"]):
        return
    other = ", or SLACK_SECRET_ID to the Secrets Manager secret that holds it" if in_secret else ""
    raise SettingError(name, f"is not set: set it{other}.")


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _trigger_emoji(text: str) -> tuple[str, ...]:
    items = _items(text)
    for item in items:
        if not EMOJI.fullmatch(item):
            raise SettingError("TRIGGER_EMOJI", f"has {item!r}, which is not an emoji name: {emoji_advice(item)}.")
    if not items:
        raise SettingError("TRIGGER_EMOJI", "names no emoji: write names such as biohazard_sign, separated by commas.")
    return tuple(item.strip(":") for item in items)


def _reply_to(text: str) -> str:
    if text in AUDIENCES or CHANNEL_ID.fullmatch(text):
        return text
    suggestion = text.lower() if text.lower() in AUDIENCES else channel_in(text)
    others = "thread, reactor, moderators or a channel's id (C...), shown in its details"
    raise SettingError("REPLY_TO", f"is {text!r}: {f'write {suggestion}' if suggestion else f'use {others}'}.")


def _channel(name: str, value: Mapping[str, str]) -> str:
    text = value[name]
    if not text or CHANNEL_ID.fullmatch(text):
        return text
    suggestion = channel_in(text)
    advice = f"write {suggestion}" if suggestion else "use the channel's id (C...), shown in its details"
    raise SettingError(name, f"is {text!r}: {advice}.")


def _users(text: str) -> frozenset[str]:
    for item in _items(text):
        if not _USER_ID.fullmatch(item):
            raise SettingError("IGNORED_REACTORS", f"has {item!r}: use user ids (U...), shown in people's profiles.")
    return frozenset(_items(text))


def _aliases(text: str) -> dict[str, str]:
    aliases = dict(item.partition("=")[::2] for item in _items(text))
    if not all(_ATTRIBUTE.fullmatch(name) and target == "TOXICITY" for name, target in aliases.items()):
        reason = "must have the form SEVERE_TOXICITY=TOXICITY, separated by commas: there is no other score."
        raise SettingError("ATTRIBUTE_ALIASES", reason)
    return aliases


def _hashes(text: str) -> tuple[str, ...]:
    hashes = tuple(_items(text))
    if hashes != ("none",) and not all(_SHA256.fullmatch(digest) for digest in hashes):
        raise SettingError("API_KEY_HASHES", "must be SHA-256 hashes of 64 hexadecimal digits, or none.")
    return hashes


def _number(name: str, value: Mapping[str, str], low: float, high: float) -> float:
    try:
        number = float(value[name])
    except ValueError:
        number = float("nan")
    if not low < number <= high:
        raise SettingError(name, f"is {value[name]!r}: use a number above {low}, at most {high}.")
    return number


def _threshold(name: str, value: Mapping[str, str]) -> float | None:
    text = value[name]
    if not text or FRACTION.fullmatch(text):
        return float(text) if text else None
    raise SettingError(name, f"is {text!r}: {fraction_advice(text)}.")


def _check_order(toxic: float, maybe: float) -> None:
    if maybe > toxic:
        raise SettingError(
            "MAYBE_TOXIC_THRESHOLD",
            f"is {maybe:g}, above {toxic:g}, the threshold for likely toxic: use a number from 0 to {toxic:g}.",
        )


def _one_of(name: str, value: Mapping[str, str], words: tuple[str, ...]) -> str:
    if value[name].lower() not in words:
        raise SettingError(name, f"is {value[name]!r}: use {', '.join(words[:-1])} or {words[-1]}.")
    return value[name].lower()


def _yes_or_no(name: str, value: Mapping[str, str]) -> bool:
    return _one_of(name, value, ("yes", "no")) == "yes"
