from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.events import event_callback
from local.workspace import Workspace
from tests.toxicity_bot import JSON
from tests.toxicity_bot.bot import OWN
from toxicity_bot.jobs import Job
from toxicity_bot.reactions import job_or_reason
from toxicity_bot.settings import Settings

NOW = 1731000000
SETTINGS = Settings.from_environ({})


def envelope(**event: Any) -> dict[str, Any]:
    """The payload that Slack sends when grace reacts to ada's message. `event` changes the inner event."""
    workspace = Workspace.example(clock=lambda: NOW)
    message = workspace.post("C0GENERAL", "U0ADA", "Good morning.")
    reaction = workspace.react("C0GENERAL", message["ts"], "U0GRACE", "biohazard_sign")
    return event_callback(reaction | event, workspace.identity, clock=lambda: NOW)


def outcome(payload: dict[str, Any], settings: Settings = SETTINGS, age: float = 0) -> Job | str:
    return job_or_reason(payload, settings, NOW + age)


def judged(found: Job | str) -> str:
    return "job" if isinstance(found, Job) else found


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("authorizations", "installation"),
    [
        ([{"enterprise_id": None, "team_id": "T0LOCAL", "is_enterprise_install": False}], "T0LOCAL"),
        ([{"enterprise_id": "E0GRID", "team_id": "T0ONE", "is_enterprise_install": False}], "T0ONE"),
        ([{"enterprise_id": "E0GRID", "team_id": None, "is_enterprise_install": True}], "E0GRID"),
        *((other, "T0LOCAL") for other in ([{"team_id": "../canary"}], [], [None], None)),
    ],
)
def test_a_job_has_the_ids_of_its_event_and_of_its_installation(authorizations: Any, installation: str) -> None:
    payload = envelope() | {"authorizations": authorizations}
    ts = payload["event"]["item"]["ts"]
    assert outcome(payload) == Job("T0LOCAL", "C0GENERAL", ts, "U0GRACE", payload["event_id"], NOW, installation)


@pytest.mark.failure(18, 19, 45)
@pytest.mark.parametrize(
    ("environ", "payload", "event", "expected"),
    [
        *(({"TRIGGER_EMOJI": trigger}, {}, {"reaction": emoji}, "job")
          for trigger in ("+1", "thumbsup", ":thumbsup:", "tada,thumbsup")
          for emoji in ("+1", "thumbsup", "thumbsup::skin-tone-2", "+1::skin-tone-6")),
        ({}, {}, {"reaction": "tada"}, "other_emoji"),
        ({}, {}, {"reaction": "biohazard"}, "other_emoji"),
        ({"TRIGGER_EMOJI": "is-this-ok"}, {}, {"reaction": "is-this-ok"}, "job"),
        ({"TRIGGER_EMOJI": "is-this-ok"}, {}, {"reaction": "this-is-ok"}, "other_emoji"),
        ({}, {}, {"user": "U0DEPLOYBOT"}, "job"),
        ({"IGNORED_REACTORS": "U1,U0DEPLOYBOT"}, {}, {"user": "U0DEPLOYBOT"}, "ignored_reactor"),
        ({}, {"is_ext_shared_channel": True}, {}, "job"),
        ({"REPLY_IN_SHARED_CHANNELS": "no"}, {"is_ext_shared_channel": True}, {}, "shared_channel"),
        ({"CHANNEL_SETTINGS": '{"C0GENERAL": {"off": true}}'}, {}, {}, "channel_off"),
        ({"CHANNEL_SETTINGS": '{"C0GENERAL": {"emoji": ["eyes"]}}'}, {}, {}, "other_emoji"),
        ({"CHANNEL_SETTINGS": '{"C0GENERAL": {"emoji": ["eyes"]}}'}, {}, {"reaction": "eyes"}, "job"),
        ({"REPLY_IN_SHARED_CHANNELS": "yes"}, {"is_ext_shared_channel": True}, {}, "job"),
    ],
)  # fmt: skip
def test_settings_decide_which_emoji_people_and_channels_count(
    environ: dict[str, str], payload: dict[str, Any], event: dict[str, Any], expected: str
) -> None:
    assert judged(outcome(envelope(**event) | payload, Settings.from_environ(environ))) == expected


@pytest.mark.failure(21)
@pytest.mark.parametrize(
    "payload",
    [{}, {"authorizations": [{"is_bot": True}]}, {"authorizations": [{"user_id": "U0GRACE", "is_bot": False}]}],
)
def test_only_the_bots_own_user_counts_as_the_bot(payload: dict[str, Any]) -> None:
    sent = envelope() | payload
    del sent["event"]["item_user"]
    assert judged(outcome(sent)) == "job"


@pytest.mark.failure(58)
@pytest.mark.parametrize(("age", "expected"), [(6 * 3600, "job"), (6 * 3600 + 1, "late_event"), (-60, "job")])
def test_an_event_older_than_the_setting_is_dropped(age: float, expected: str) -> None:
    assert judged(outcome(envelope(), age=age)) == expected


@pytest.mark.parametrize(
    ("reason", "payload", "event"),
    [
        *(("unknown_type", change, {}) for change in (
            {"type": "block_actions"}, {"type": None}, {"event": "reaction_added"}, {"event": None})),
        *(("unknown_event", {}, {"type": kind}) for kind in ("reaction_removed", "message", "app_mention")),
        *(("malformed_event", change, {}) for change in (
            {"team_id": None}, {"team_id": "T0/../C0"}, {"team_id": "T\u00df"}, {"event_id": ["Ev1"]},
            {"event_time": "1731000000"}, {"event_time": 10**400}, {"event_time": -1})),
        *(("malformed_event", {}, {"item": item}) for item in (
            {"type": "file", "file": "F1"}, {"type": "message", "channel": "C1"},
            {"type": "message", "channel": "C1", "ts": "yesterday"},
            {"type": "message", "channel": "c/1", "ts": "1.1"}, None)),
        *(("malformed_event", {}, {"user": user}) for user in ("", {"id": "U1"})),
        *(("other_emoji", {}, {"reaction": reaction}) for reaction in (None, ["biohazard_sign"])),
        ("own_reaction", {}, {"user": OWN}),
        ("own_message", {}, {"item_user": OWN}),
    ],
)  # fmt: skip
def test_an_unknown_or_malformed_event_is_dropped_with_its_reason(
    reason: str, payload: dict[str, Any], event: dict[str, Any]
) -> None:
    assert outcome(envelope(**event) | payload) == reason


@given(
    payload=st.dictionaries(
        st.sampled_from(["type", "event", "team_id", "event_id", "event_time", "authorizations"]), JSON, max_size=2
    ),
    event=st.dictionaries(st.sampled_from(["type", "user", "reaction", "item", "item_user"]), JSON, max_size=2),
)
def test_no_payload_raises(payload: dict[str, Any], event: dict[str, Any]) -> None:
    sent = envelope(**event) | payload
    assert isinstance(outcome(sent), Job | str)
