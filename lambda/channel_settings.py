"""Settings of single channels: CHANNEL_SETTINGS, a JSON object with an entry for a channel's id, or `*` for all.

What an entry does not say, the entry `*` says, else the other settings. An error names the entry and the key.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NoReturn, Self

from .errors import SettingError
from .setting_values import CHANNEL_ID, EMOJI, channel_in, emoji_advice, share_advice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NAME = "CHANNEL_SETTINGS"
EVERYWHERE = "*"
AUDIENCES = ("thread", "reactor", "moderators")


@dataclass(frozen=True)
class Entry:
    """What is set for a channel; None is what is not set."""

    verdicts: str | None = None
    """Who sees verdicts: one of AUDIENCES."""
    toxic_threshold: float | None = None
    maybe_toxic_threshold: float | None = None
    emoji: tuple[str, ...] | None = None
    off: bool | None = None
    watch: bool | None = None
    watch_threshold: float | None = None

    def over(self, other: Entry) -> Entry:
        """Return this entry, completed by another one."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        return Entry(**{name: getattr(other, name) if value is None else value for name, value in own.items()})


@dataclass(frozen=True)
class ChannelSettings:
    """The entries, by channel."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the variable; raises SettingError for anything that does not have the right form."""
        try:
            given = json.loads(text or "{}", object_pairs_hook=_without_doubles, parse_constant=_no_constant)
        except RecursionError:
            raise SettingError(NAME, f"is nested too deep: {_EXAMPLE}") from None
        except ValueError as error:
            where = f" ({error.msg}, character {error.pos + 1})" if isinstance(error, json.JSONDecodeError) else ""
            raise SettingError(NAME, f"is not JSON{where}: {_EXAMPLE}") from None
        if not isinstance(given, dict):
            raise SettingError(NAME, f"is no JSON object: {_EXAMPLE}")
        return cls({channel: _entry(channel, entry) for channel, entry in given.items()})

    def own(self, channel: str) -> Entry:
        """Return what the channel's own entry says."""
        return self.entries.get(channel, Entry())

    def of(self, channel: str) -> Entry:
        """Return what holds in a channel, as far as it is set."""
        return self.own(channel).over(self.own(EVERYWHERE))

    def watched(self) -> list[str]:
        """Return the channels whose messages are all read."""
        return [channel for channel, entry in self.entries.items() if entry.watch and not self.of(channel).off]

    def check_moderators(self, moderators_channel: str) -> None:
        """Raise SettingError if an entry needs a moderators' channel, and there is none."""
        for channel, entry in self.entries.items():
            for key, needs_it in (("verdicts", entry.verdicts == "moderators"), ("watch", entry.watch)):
                if needs_it and not moderators_channel:
                    refuse(channel, key, "needs a channel of the moderators: set MODERATORS_CHANNEL to its id")


def refuse(channel: str, key: str, reason: str) -> NoReturn:
    """Raise the error for one key of an entry."""
    raise SettingError(NAME, f'has an entry "{channel}" whose {key} {reason}.')


_EXAMPLE = 'write such as {"C0123ABC": {"verdicts": "reactor"}}.'


def _without_doubles(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what JSON itself allows: the same name twice, of which the last would count."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise SettingError(NAME, f'has "{name}" twice in one object: write it once.')
        found[name] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise SettingError(NAME, f"has {name}, which is no JSON: use a number from 0 to 1.")


def _entry(channel: str, given: Any) -> Entry:
    if channel != EVERYWHERE and not CHANNEL_ID.fullmatch(channel):
        written = channel_in(channel)
        advice = f"write {written}" if written else "use a channel's id (C...), which its details show, or *"
        raise SettingError(NAME, f'has an entry "{channel}": {advice}.')
    if not isinstance(given, dict):
        raise SettingError(NAME, f'has an entry "{channel}" that is no JSON object: {_EXAMPLE}')
    for key in given:
        if key not in _READERS:
            close = difflib.get_close_matches(key, _READERS, 1)
            advice = f"write {close[0]}" if close else f"there are {', '.join(_READERS)}"
            raise SettingError(NAME, f'has an entry "{channel}" with "{key}": {advice}.')
    if channel == EVERYWHERE and given.get("watch"):
        refuse(channel, "watch", "would have every message read: name each channel to watch in an entry of its own")
    entry = Entry(**{key: _READERS[key](channel, key, value) for key, value in given.items()})
    if entry.toxic_threshold is not None:
        check_thresholds(channel, entry.toxic_threshold, entry.maybe_toxic_threshold, entry.watch_threshold)
    return entry


def check_thresholds(channel: str, toxic: float, maybe: float | None, watch: float | None) -> None:
    """Refuse thresholds that are on the wrong side of the one from which a message is called likely toxic."""
    called = f"{toxic:g}, from which a message is called likely toxic: use a number from"
    if maybe is not None and maybe > toxic:
        refuse(channel, "maybe_toxic_threshold", f"is {maybe:g}, above {called} 0 to {toxic:g}")
    if watch is not None and watch < toxic:
        refuse(channel, "watch_threshold", f"is {watch:g}, below {called} {toxic:g} to 1")


def _audience(channel: str, key: str, value: Any) -> str:
    if value not in AUDIENCES:
        lower = str(value).lower()
        advice = f"write {lower}" if lower in AUDIENCES else f"use {', '.join(AUDIENCES)}"
        refuse(channel, key, f"is {json.dumps(value)}: {advice}")
    return str(value)


def _share(channel: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        text = value if isinstance(value, str) else json.dumps(value)
        advice = "without quotation marks" if isinstance(value, str) and share_advice(text).endswith(f" {text}") else ""
        refuse(channel, key, f"is {json.dumps(value)}: {share_advice(text)} {advice}".rstrip())
    return float(value)


def _emoji(channel: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        refuse(channel, key, f'is {json.dumps(value)}: use a list of names such as ["biohazard_sign"]')
    for one in value:
        if not isinstance(one, str) or not EMOJI.fullmatch(one):
            refuse(channel, key, f"has {one!r}, which is no emoji's name: {emoji_advice(str(one))}")
    return tuple(one.strip(":") for one in value)


def _switch(channel: str, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        refuse(channel, key, f"is {json.dumps(value)}: use true or false, without quotation marks")
    return value


_READERS: Mapping[str, Callable[[str, str, Any], Any]] = {
    "verdicts": _audience,
    "toxic_threshold": _share,
    "maybe_toxic_threshold": _share,
    "emoji": _emoji,
    "off": _switch,
    "watch": _switch,
    "watch_threshold": _share,
}
