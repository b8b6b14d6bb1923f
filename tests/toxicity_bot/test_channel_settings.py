"""CHANNEL_SETTINGS: the settings of a channel, invalid values and the effect in Slack."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toxicity_bot import JSON
from tests.toxicity_bot.bot import GENERAL, GRACE, INSULT, PRIVATE, Bot
from toxicity_bot.channel_settings import ChannelSettings, Entry
from toxicity_bot.errors import SettingError
from toxicity_bot.settings import Settings, Thresholds

MODEL = Thresholds(toxic=0.6, maybe=0.3)


def settings(channels: dict[str, Any] | str, **environ: str) -> Settings:
    text = channels if isinstance(channels, str) else json.dumps(channels)
    return Settings.from_environ({"MODERATORS_CHANNEL": PRIVATE, "CHANNEL_SETTINGS": text} | environ)


def test_a_channels_entry_overrides_the_default_entry_which_overrides_the_other_settings() -> None:
    made = settings(
        {
            "*": {"verdicts": "reactor", "emoji": [":eyes:"], "toxic_threshold": 0.9},
            GENERAL: {"verdicts": "moderators", "maybe_toxic_threshold": 0.5, "off": False},
        },
        TRIGGER_EMOJI="tada",
    )
    here, elsewhere = made.for_channel(GENERAL), made.for_channel("C0RANDOM")
    assert (here.reply_to, here.trigger_emoji) == (PRIVATE, ("eyes",))
    assert (elsewhere.reply_to, elsewhere.trigger_emoji) == ("reactor", ("eyes",))
    everywhere = made.thresholds(MODEL)
    assert made.thresholds_in(GENERAL, everywhere) == Thresholds(0.9, 0.5)
    assert made.thresholds_in("C0RANDOM", everywhere) == Thresholds(0.9, 0.3)
    assert made.channels.for_channel(GENERAL) == Entry(
        "moderators", toxic_threshold=0.9, maybe_toxic_threshold=0.5, emoji=("eyes",), off=False
    )


def test_keys_that_a_channels_entry_omits_keep_their_defaults() -> None:
    made = settings("", REPLY_TO="reactor", TRIGGER_EMOJI="tada", TOXIC_THRESHOLD="0.8")
    assert made.for_channel(GENERAL) == made
    assert made.thresholds_in(GENERAL, made.thresholds(MODEL)) == Thresholds(0.8, 0.3)
    lower = settings({GENERAL: {"toxic_threshold": 0.2}}, MAYBE_TOXIC_THRESHOLD="0.4")
    assert lower.thresholds_in(GENERAL, lower.thresholds(MODEL)) == Thresholds(0.2, 0.2), (
        "there is no range for maybe_toxic"
    )


@pytest.mark.failure(121)
@pytest.mark.parametrize(
    ("environ", "entry", "expected"),
    [
        ({}, {}, "reactor"),
        ({"REPLY_TO": "C0MODERATION"}, {}, "reactor"),
        ({}, {"*": {"verdicts": "thread"}}, "reactor"),
        ({}, {GENERAL: {"toxic_threshold": 0.9}}, "reactor"),
        ({}, {GENERAL: {"verdicts": "thread"}}, "thread"),
        ({"REPLY_IN_SHARED_CHANNELS": "yes"}, {}, "thread"),
        ({"REPLY_IN_SHARED_CHANNELS": "yes"}, {"*": {"verdicts": "moderators"}}, PRIVATE),
        ({"REPLY_IN_SHARED_CHANNELS": "no"}, {}, "silent"),
        ({"REPLY_IN_SHARED_CHANNELS": "no"}, {GENERAL: {"verdicts": "reactor"}}, "reactor"),
    ],
)
def test_in_a_shared_channel_only_the_person_who_asked_sees_a_verdict(
    environ: dict[str, str], entry: dict[str, Any], expected: str
) -> None:
    made = settings(entry, **environ)
    silent = made.is_silent(GENERAL, shared=True)
    assert ("silent" if silent else made.for_channel(GENERAL, shared=True).reply_to) == expected
    assert not made.is_silent(GENERAL, shared=False)


@pytest.mark.parametrize(("to", "expected"), [("thread", "thread"), ("reactor", "reactor"), ("moderators", "thread")])
def test_a_verdict_on_a_direct_message_to_the_bot_stays_in_that_conversation(to: str, expected: str) -> None:
    assert settings("", REPLY_TO=to).for_channel("D0GRACE").reply_to == expected
    assert settings({"*": {"verdicts": to}}).for_channel("D0GRACE").reply_to == expected


@pytest.mark.failure(120)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["is not JSON", "character 2"]),
        ("[]", ["is not a JSON object"]),
        ("reactor", ["is not JSON"]),
        ("[" * 100_000, ["is nested too deep"]),
        ('{"#general": {}}', ['an entry "#general"', "use a channel's id"]),
        ('{"c0123abc": {}}', ['an entry "c0123abc"', "write C0123ABC"]),
        ('{"C0123ABC": []}', ['an entry "C0123ABC"', "is not a JSON object"]),
        ('{"C0123ABC": {}, "C0123ABC": {}}', ['has "C0123ABC" twice']),
        ('{"C0123ABC": {"off": true, "off": false}}', ['has "off" twice']),
        ('{"C0123ABC": {"toxic_treshold": 0.9}}', ['"C0123ABC" with "toxic_treshold"', "write toxic_threshold"]),
        ('{"C0123ABC": {"colour": 1}}', ['"C0123ABC" with "colour"', "the keys are verdicts, "]),
        ('{"C0123ABC": {"verdicts": "everybody"}}', ['whose verdicts is "everybody"', "use thread, reactor"]),
        ('{"C0123ABC": {"verdicts": "Reactor"}}', ['"C0123ABC" whose verdicts is "Reactor"', "write reactor"]),
        ('{"C0123ABC": {"verdicts": ["thread"]}}', ["whose verdicts is"]),
        ('{"C0123ABC": {"toxic_threshold": "0.9"}}', ["whose toxic_threshold", "write 0.9 without quotation marks"]),
        ('{"C0123ABC": {"toxic_threshold": 80}}', ["whose toxic_threshold is 80", "write 0.8."]),
        ('{"C0123ABC": {"toxic_threshold": true}}', ["whose toxic_threshold is true", "from 0 to 1"]),
        ('{"C0123ABC": {"watch_threshold": NaN}}', ["has NaN"]),
        ('{"C0123ABC": {"watch_threshold": -0.1}}', ["whose watch_threshold is -0.1"]),
        ('{"*": {"toxic_threshold": 0.5, "maybe_toxic_threshold": 0.6}}', ['"*" whose maybe_toxic', "above 0.5"]),
        ('{"C0123ABC": {"toxic_threshold": 0.5, "watch_threshold": 0.4}}', ["whose watch_threshold", "below 0.5"]),
        ('{"C0123ABC": {"emoji": "eyes"}}', ["whose emoji", "use a list of names"]),
        ('{"C0123ABC": {"emoji": []}}', ["whose emoji", "use a list of names"]),
        ('{"C0123ABC": {"emoji": ["\u2623\ufe0f"]}}', ["whose emoji", "write biohazard_sign"]),
        ('{"C0123ABC": {"off": "yes"}}', ["whose off", "use true or false"]),
        ('{"*": {"watch": true}}', ['"*" whose watch', "name each channel to watch"]),
    ],
)
def test_an_error_names_the_entry_and_the_key_and_says_what_to_write(text: str, words: list[str]) -> None:
    with pytest.raises(SettingError) as refusal:
        settings(text)
    told = str(refusal.value)
    assert refusal.value.name == "CHANNEL_SETTINGS"
    assert [word for word in ["CHANNEL_SETTINGS ", *words] if word not in told] == [], told
    assert re.fullmatch(r"[^\n]+\.", told), told


@pytest.mark.failure(120)
@pytest.mark.parametrize(("entry", "key"), [({"watch": True}, "watch"), ({"verdicts": "moderators"}, "verdicts")])
def test_settings_that_post_to_moderators_require_moderators_channel(entry: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingError, match=f'"{GENERAL}" whose {key} needs .* MODERATORS_CHANNEL'):
        settings({GENERAL: entry}, MODERATORS_CHANNEL="")
    with pytest.raises(SettingError, match=r"REPLY_TO is 'moderators', .* MODERATORS_CHANNEL"):
        settings("", MODERATORS_CHANNEL="", REPLY_TO="moderators")
    assert settings("", REPLY_TO="moderators").reply_to == PRIVATE


@pytest.mark.failure(120)
@pytest.mark.parametrize(
    ("entry", "key"), [({"maybe_toxic_threshold": 0.7}, "maybe_toxic"), ({"watch_threshold": 0.5}, "watch")]
)
def test_thresholds_that_conflict_with_the_models_are_refused_once_the_model_is_loaded(
    entry: dict[str, Any], key: str
) -> None:
    made = settings({GENERAL: entry})
    with pytest.raises(SettingError, match=rf'CHANNEL_SETTINGS .*"{GENERAL}" whose {key}_threshold is 0\..*0\.6'):
        made.thresholds(MODEL)


KEYS = ["verdicts", "toxic_threshold", "maybe_toxic_threshold", "emoji", "off", "watch", "watch_threshold"]


@given(st.dictionaries(st.sampled_from(["*", GENERAL, "c1"]) | st.text(), st.dictionaries(st.sampled_from(KEYS), JSON)))
def test_any_json_is_accepted_or_refused_with_one_sentence(channels: dict[str, Any]) -> None:
    try:
        told, read = "CHANNEL_SETTINGS ", ChannelSettings.from_json(json.dumps(channels)).entries.keys()
    except SettingError as refusal:
        told, read = str(refusal), channels.keys()
    assert told.startswith("CHANNEL_SETTINGS ")
    assert read == channels.keys()


def set_channels(bot: Bot, channels: dict[str, Any]) -> None:
    bot.set(channels=settings(channels).channels, moderators_channel=PRIVATE)


def test_verdicts_are_posted_where_the_channels_entry_says(bot: Bot) -> None:
    set_channels(bot, {GENERAL: {"verdicts": "reactor"}, PRIVATE: {"verdicts": "thread"}})
    bot.judge(bot.say())
    message = bot.say(channel=PRIVATE)
    bot.react(message, channel=PRIVATE)
    bot.work()
    assert [one["user"] for one in bot.slack.workspace.ephemerals] == [GRACE]
    assert [post["thread_ts"] for post in bot.verdicts(PRIVATE)] == [message["ts"]]
    assert bot.verdicts() == []


def test_a_channels_thresholds_apply_to_its_verdicts_and_answers(bot: Bot) -> None:
    set_channels(bot, {GENERAL: {"toxic_threshold": 1.0, "maybe_toxic_threshold": 1.0}})
    assert bot.judge(bot.say()) == ["fine"]
    bot.command(INSULT)
    bot.check(bot.say())
    bot.command(INSULT, channel=PRIVATE)
    assert ["No clear sign" in text for text in bot.private(GRACE)] == [True, True, False]


@pytest.mark.failure(45, 121)
@pytest.mark.parametrize("choice", ["reactor", "yes", "no"])
def test_visibility_of_verdicts_in_a_channel_shared_with_other_organisations(bot: Bot, choice: str) -> None:
    bot.set(reply_in_shared_channels=choice)
    payload = bot.event(bot.say()) | {"is_ext_shared_channel": True}
    assert bot.deliver(payload).status == 200
    bot.work()
    shown = [one["user"] for one in bot.slack.workspace.ephemerals]
    assert (shown, len(bot.verdicts())) == {"reactor": ([GRACE], 0), "yes": ([], 1), "no": ([], 0)}[choice]
