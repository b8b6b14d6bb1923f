"""Per-channel settings from CHANNEL_SETTINGS, a JSON object with an entry per channel id, or `*` for all channels.

If a channel's entry omits a key, the `*` entry applies, then the environment variable. Errors name the entry and key.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NoReturn, Self

from .errors import SettingError
from .setting_values import CHANNEL_ID, EMOJI, channel_in, emoji_advice, fraction_advice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NAME = "CHANNEL_SETTINGS"
ALL_CHANNELS = "*"
AUDIENCES = ("thread", "reactor", "moderators")


@dataclass(frozen=True)
class Entry:
    """The settings for a channel. None means not set."""

    verdicts: str | None = None
    """Who sees verdicts: one of AUDIENCES."""
    toxic_threshold: float | None = None
    maybe_toxic_threshold: float | None = None
    emoji: tuple[str, ...] | None = None
    off: bool | None = None
    watch: bool | None = None
    watch_threshold: float | None = None

    def with_defaults(self, other: Entry) -> Entry:
        """Return this entry, with the values of another where its own are not set."""
        own = {key.name: getattr(self, key.name) for key in fields(self)}
        return Entry(**{name: getattr(other, name) if value is None else value for name, value in own.items()})


@dataclass(frozen=True)
class ChannelSettings:
    """The entries, by channel."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the variable. Raises SettingError for any invalid value."""
        try:
            settings = json.loads(text or "{}", object_pairs_hook=_reject_duplicates, parse_constant=_reject_constant)
        except RecursionError:
            raise SettingError(NAME, f"is nested too deep: {_EXAMPLE}") from None
        except ValueError as error:
            where = f" ({error.msg}, character {error.pos + 1})" if isinstance(error, json.JSONDecodeError) else ""
            raise SettingError(NAME, f"is not JSON{where}: {_EXAMPLE}") from None
        if not isinstance(settings, dict):
            raise SettingError(NAME, f"is not a JSON object: {_EXAMPLE}")
        return cls({channel: _entry(channel, entry) for channel, entry in settings.items()})

    def own_entry(self, channel: str) -> Entry:
        """Return the channel's own entry, without that of `*`."""
        return self.entries.get(channel, Entry())

    def for_channel(self, channel: str) -> Entry:
        """Return the channel's entry, completed by the entry `*`."""
        return self.own_entry(channel).with_defaults(self.own_entry(ALL_CHANNELS))

    def watched(self) -> list[str]:
        """Return the ids of the watched channels."""
        return [channel for channel, entry in self.entries.items() if entry.watch]

    def check_moderators(self, moderators_channel: str) -> None:
        """Raise SettingError if an entry needs a moderators' channel and none is set."""
        for channel, entry in self.entries.items():
            for key, needs_it in (("verdicts", entry.verdicts == "moderators"), ("watch", entry.watch)):
                if needs_it and not moderators_channel:
                    refuse(channel, key, "needs a moderators' channel: set MODERATORS_CHANNEL to its id")


def refuse(channel: str, key: str, reason: str) -> NoReturn:
    """Raise SettingError for one key of an entry."""
    raise SettingError(NAME, f'has an entry "{channel}" whose {key} {reason}.')


_EXAMPLE = 'write, for example, {"C0123ABC": {"verdicts": "reactor"}}.'


def _reject_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Reject duplicate names, which JSON allows and of which only the last would count."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise SettingError(NAME, f'has "{name}" twice in one object: write it once.')
        found[name] = value
    return found


def _reject_constant(name: str) -> NoReturn:
    raise SettingError(NAME, f"has {name}, which is not JSON: use a number from 0 to 1.")


def _entry(channel: str, settings: Any) -> Entry:
    if channel != ALL_CHANNELS and not CHANNEL_ID.fullmatch(channel):
        suggestion = channel_in(channel)
        advice = f"write {suggestion}" if suggestion else "use a channel's id (C...), shown in its details, or *"
        raise SettingError(NAME, f'has an entry "{channel}": {advice}.')
    if not isinstance(settings, dict):
        raise SettingError(NAME, f'has an entry "{channel}" that is not a JSON object: {_EXAMPLE}')
    for key in settings:
        if key not in _READERS:
            close = difflib.get_close_matches(key, _READERS, 1)
            advice = f"write {close[0]}" if close else f"the keys are {', '.join(_READERS)}"
            raise SettingError(NAME, f'has an entry "{channel}" with "{key}": {advice}.')
    if channel == ALL_CHANNELS and settings.get("watch"):
        refuse(channel, "watch", "would watch every channel: name each channel to watch in an entry of its own")
    entry = Entry(**{key: _READERS[key](channel, key, value) for key, value in settings.items()})
    if entry.toxic_threshold is not None:
        check_thresholds(channel, entry.toxic_threshold, entry.maybe_toxic_threshold, entry.watch_threshold)
    return entry


def check_thresholds(channel: str, toxic: float, maybe: float | None, watch: float | None) -> None:
    """Reject thresholds on the wrong side of the one for likely toxic."""
    bound = f"{toxic:g}, the threshold for likely toxic: use a number from"
    if maybe is not None and maybe > toxic:
        refuse(channel, "maybe_toxic_threshold", f"is {maybe:g}, above {bound} 0 to {toxic:g}")
    if watch is not None and watch < toxic:
        refuse(channel, "watch_threshold", f"is {watch:g}, below {bound} {toxic:g} to 1")


def _audience(channel: str, key: str, value: Any) -> str:
    if value not in AUDIENCES:
        lower = str(value).lower()
        advice = f"write {lower}" if lower in AUDIENCES else f"use {', '.join(AUDIENCES)}"
        refuse(channel, key, f"is {json.dumps(value)}: {advice}")
    return str(value)


def _fraction(channel: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        text = value if isinstance(value, str) else json.dumps(value)
        advice = (
            "without quotation marks" if isinstance(value, str) and fraction_advice(text).endswith(f" {text}") else ""
        )
        refuse(channel, key, f"is {json.dumps(value)}: {fraction_advice(text)} {advice}".rstrip())
    return float(value)


def _emoji(channel: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        refuse(channel, key, f'is {json.dumps(value)}: use a list of names such as ["biohazard_sign"]')
    for name in value:
        if not isinstance(name, str) or not EMOJI.fullmatch(name):
            refuse(channel, key, f"has {name!r}, which is not an emoji name: {emoji_advice(str(name))}")
    return tuple(name.strip(":") for name in value)


def _switch(channel: str, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        refuse(channel, key, f"is {json.dumps(value)}: use true or false, without quotation marks")
    return value


_READERS: Mapping[str, Callable[[str, str, Any], Any]] = {
    "verdicts": _audience,
    "toxic_threshold": _fraction,
    "maybe_toxic_threshold": _fraction,
    "emoji": _emoji,
    "off": _switch,
    "watch": _switch,
    "watch_threshold": _fraction,
}
