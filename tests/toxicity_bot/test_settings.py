from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from toxicity_bot.channel_settings import ChannelSettings, Entry
from toxicity_bot.errors import SettingError
from toxicity_bot.settings import DEFAULTS, Secret, Settings, Thresholds

# Each variable: its field, the field's default, an example value and the parsed value.
VARIABLES: dict[str, tuple[str, Any, str, Any]] = {
    "SLACK_SECRET_ID": ("secret_id", "", "prod/slack", "prod/slack"),
    "SLACK_SIGNING_SECRET": ("signing_secrets", (), "new, old", (Secret("new"), Secret("old"))),
    "SLACK_BOT_TOKEN": ("bot_token", Secret(""), " xoxb-1 ", Secret("xoxb-1")),
    "SLACK_API_URL": ("api_url", "https://slack.com/api/", "http://127.0.0.1:8090/api", "http://127.0.0.1:8090/api/"),
    "JOBS_QUEUE_URL": ("jobs_queue_url", "", "https://sqs/jobs", "https://sqs/jobs"),
    "LEDGER_TABLE": ("ledger_table", "", "verdicts", "verdicts"),
    "MODEL_DIR": ("model_dir", Path("/opt/model"), "model", Path("model")),
    "TRIGGER_EMOJI": (
        "trigger_emoji", ("biohazard_sign",), ":rotating_light:, biohazard_sign", ("rotating_light", "biohazard_sign")
    ),
    "TOXIC_THRESHOLD": ("toxic_threshold", None, "0.8", 0.8),
    "MAYBE_TOXIC_THRESHOLD": ("maybe_toxic_threshold", None, "0.4", 0.4),
    "REPLY_TO": ("reply_to", "thread", "C0MODERATION", "C0MODERATION"),
    "IGNORED_REACTORS": ("ignored_reactors", frozenset(), "U1,U2", frozenset({"U1", "U2"})),
    "JUDGE_AFTER_REMOVAL": ("judge_after_removal", True, "No", False),
    "REPLY_IN_SHARED_CHANNELS": ("reply_in_shared_channels", "reactor", "Yes", "yes"),
    "CHANNEL_SETTINGS": (
        "channels", ChannelSettings(), '{"C0123ABC": {"off": true}}', ChannelSettings({"C0123ABC": Entry(off=True)})
    ),
    "MAX_EVENT_AGE_HOURS": ("max_event_age", 6 * 3600, "0.5", 1800),
    "ATTRIBUTE_ALIASES": (
        "attribute_aliases", {}, "INSULT=TOXICITY, THREAT=TOXICITY", {"INSULT": "TOXICITY", "THREAT": "TOXICITY"}
    ),
    "API_KEY_HASHES": ("api_key_hashes", (), f"{'0' * 64},{'a' * 64}", ("0" * 64, "a" * 64)),
    "REQUESTS_PER_SECOND_PER_KEY": ("requests_per_second_per_key", 10, "0.5", 0.5),
    "WORKER_FUNCTION": ("worker_function", "", "bot-Worker:live", "bot-Worker:live"),
    "SHORTCUTS": ("shortcuts", True, "no", False),
    "FEEDBACK": ("feedback", True, "no", False),
    "MODERATORS_CHANNEL": ("moderators_channel", "", "C0MODERATION", "C0MODERATION"),
    "REPORTER_NAMES": ("reporter_names", True, "no", False),
    "SLASH_COMMAND": ("slash_command", True, "no", False),
}  # fmt: skip


def test_every_variable_is_read_and_has_a_default() -> None:
    assert VARIABLES.keys() == DEFAULTS.keys(), "a variable is missing from this test"
    rows = VARIABLES.values()
    assert Settings.from_environ({}) == Settings(**{field: default for field, default, _, _ in rows})
    environ = {name: value for name, (_, _, value, _) in VARIABLES.items()}
    assert Settings.from_environ(environ) == Settings(**{field: read for field, _, _, read in rows})


@pytest.mark.failure(81)
@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("SLACK_API_URL", "ftp://slack.com", "https://"),
        *(("TRIGGER_EMOJI", value, "biohazard_sign") for value in (" , ", ":", "skin-tone-2", "\u2623\U0001f44d", "%")),
        *(("TRIGGER_EMOJI", value, f"write {name}.") for value, name in (
            ("\u2623\ufe0f", "biohazard_sign"), ("tada,\u2623", "biohazard_sign"), ("\U0001f44d\U0001f3fd", "+1"),
            ("Biohazard_Sign", "biohazard_sign"), ("biohazard sign", "biohazard_sign"), ("tada :fire:", "tada,fire"),
        )),
        *((name, value, f"write {number}.") for name in ("TOXIC_THRESHOLD", "MAYBE_TOXIC_THRESHOLD")
          for value, number in (("0,8", "0.8"), ("80%", "0.8"), ("75 %", "0.75"), ("80", "0.8"))),
        *(("REPLY_TO", value, f"write {place}.") for value, place in (
            ("Thread", "thread"), ("c0123abc", "C0123ABC"), ("<#C0123ABC|general>", "C0123ABC"),
            ("https://example.slack.com/archives/C0123ABC/p1", "C0123ABC"),
        )),
        *(("IGNORED_REACTORS", value, "user ids (U...)") for value in ("@ada", "U0ADA, B0BOT")),
        *((name, value, "from 0 to 1") for name in ("TOXIC_THRESHOLD", "MAYBE_TOXIC_THRESHOLD")
          for value in ("high", "1.01", "-0.01", "nan")),
        ("MODERATORS_CHANNEL", "https://example.slack.com/archives/C0123ABC", "write C0123ABC."),
        ("MODERATORS_CHANNEL", "#moderators", "the channel's id (C...)"),
        *(("REPLY_TO", value, "thread, reactor, moderators or a channel") for value in ("everybody", "#general")),
        *((name, value, "yes or no") for name in ("JUDGE_AFTER_REMOVAL", "REPLY_IN_SHARED_CHANNELS")
          for value in ("perhaps", "1")),
        ("CHANNEL_SETTINGS", "reactor", 'write, for example, {"C0123ABC": {"verdicts": "reactor"}}.'),
        *(("MAX_EVENT_AGE_HOURS", value, "above 0, at most 336") for value in ("inf", "-1", "0")),
        *(("ATTRIBUTE_ALIASES", value, "SEVERE_TOXICITY=TOXICITY") for value in ("INSULT", "A=B", "a=TOXICITY")),
        *(("API_KEY_HASHES", value, "64 hexadecimal digits") for value in ("a-key", f"none,{'0' * 64}")),
        ("REQUESTS_PER_SECOND_PER_KEY", "0", "above 0, at most 10000"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_refused_with_its_name_and_valid_values(name: str, value: str, advice: str) -> None:
    with pytest.raises(SettingError) as refusal:
        Settings.from_environ({name: value})
    assert refusal.value.name == name
    assert str(refusal.value).startswith(name)
    assert advice in str(refusal.value)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Thresholds(0.6, 0.3)),
        ({"TOXIC_THRESHOLD": "0.9"}, Thresholds(0.9, 0.3)),
        ({"TOXIC_THRESHOLD": "0.2"}, Thresholds(0.2, 0.2)),
        ({"TOXIC_THRESHOLD": "0"}, Thresholds(0, 0)),
        ({"TOXIC_THRESHOLD": "1"}, Thresholds(1, 0.3)),
        ({"MAYBE_TOXIC_THRESHOLD": "0.1"}, Thresholds(0.6, 0.1)),
        ({"MAYBE_TOXIC_THRESHOLD": "0"}, Thresholds(0.6, 0)),
        ({"MAYBE_TOXIC_THRESHOLD": "0.6"}, Thresholds(0.6, 0.6)),
        ({"TOXIC_THRESHOLD": "0.9", "MAYBE_TOXIC_THRESHOLD": "0.7"}, Thresholds(0.9, 0.7)),
    ],
    ids=str,
)
def test_thresholds_in_the_environment_override_the_models(environ: dict[str, str], expected: Thresholds) -> None:
    assert Settings.from_environ(environ).thresholds(Thresholds(toxic=0.6, maybe=0.3)) == expected


def test_a_lower_threshold_above_the_upper_is_refused_once_both_are_known() -> None:
    with pytest.raises(SettingError, match=r"MAYBE_TOXIC_THRESHOLD is 0\.9, above 0\.8, .* from 0 to 0\.8\."):
        Settings.from_environ({"TOXIC_THRESHOLD": "0.8", "MAYBE_TOXIC_THRESHOLD": "0.9"})
    settings = Settings.from_environ({"MAYBE_TOXIC_THRESHOLD": "0.7"})
    with pytest.raises(SettingError, match=r"MAYBE_TOXIC_THRESHOLD is 0\.7, above 0\.6"):
        settings.thresholds(Thresholds(toxic=0.6, maybe=0.3))


@pytest.mark.parametrize("name", ["SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "JOBS_QUEUE_URL", "LEDGER_TABLE"])
@pytest.mark.parametrize("environ", [{}, {"{name}": "  "}])
def test_a_missing_required_variable_is_named(name: str, environ: dict[str, str]) -> None:
    with pytest.raises(SettingError, match=f"{name} is not set") as refusal:
        Settings.from_environ({key.format(name=name): value for key, value in environ.items()}, needs=(name,))
    assert ("SLACK_SECRET_ID" in str(refusal.value)) == name.startswith("SLACK_"), str(refusal.value)


def test_slack_secret_id_satisfies_only_the_variables_that_the_secret_holds() -> None:
    needs = ("SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN")
    assert Settings.from_environ({"SLACK_SECRET_ID": "prod/slack"}, needs).secret_id == "prod/slack"
    with pytest.raises(SettingError, match="LEDGER_TABLE"):
        Settings.from_environ({"SLACK_SECRET_ID": "prod/slack"}, (*needs, "LEDGER_TABLE"))


def test_settings_hide_secrets_and_are_immutable() -> None:
    settings = Settings.from_environ({"SLACK_SIGNING_SECRET": "canary-secret", "SLACK_BOT_TOKEN": "canary-token"})
    assert "canary" not in f"{settings!r} {settings}"
    assert settings.bot_token == "canary-token"
    with pytest.raises(FrozenInstanceError):
        settings.reply_to = "reactor"  # type: ignore[misc]  # this must fail
