from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.events import event_callback
from local.workspace import Workspace
from toxicity_bot.jobs import Job
from toxicity_bot.reactions import canonical, job_or_reason
from toxicity_bot.settings import Settings

NOW = 1731000000
SETTINGS = Settings.from_environ({})


def envelope(emoji: str = "biohazard_sign", **event: Any) -> dict[str, Any]:
    """What Slack sends when grace reacts to ada's message; `event` changes the inner event."""
    workspace = Workspace.example(clock=lambda: NOW)
    message = workspace.post("C0GENERAL", "U0ADA", "Good morning.")
    reaction = workspace.react("C0GENERAL", message["ts"], "U0GRACE", emoji)
    return event_callback(reaction | event, workspace.identity, clock=lambda: NOW)


def outcome(payload: dict[str, Any], settings: Settings = SETTINGS, age: float = 0) -> Job | str:
    return job_or_reason(payload, settings, NOW + age)


def test_a_reaction_with_the_trigger_emoji_becomes_a_job_of_its_ids() -> None:
    payload = envelope()
    job = Job("T0LOCAL", "C0GENERAL", payload["event"]["item"]["ts"], "U0GRACE", payload["event_id"], NOW, "T0LOCAL")
    assert outcome(payload) == job


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("authorizations", "installation"),
    [
        ([{"enterprise_id": None, "team_id": "T0LOCAL", "is_enterprise_install": False}], "T0LOCAL"),
        ([{"enterprise_id": "E0GRID", "team_id": "T0ONE", "is_enterprise_install": False}], "T0ONE"),
        ([{"enterprise_id": "E0GRID", "team_id": None, "is_enterprise_install": True}], "E0GRID"),
        ([{"team_id": "../canary"}], "T0LOCAL"),
        ([], "T0LOCAL"),
        ([None], "T0LOCAL"),
        (None, "T0LOCAL"),
    ],
)
def test_a_job_names_the_installation_that_the_event_came_through(authorizations: Any, installation: str) -> None:
    job = outcome(envelope() | {"authorizations": authorizations})
    assert isinstance(job, Job), job
    assert job.installation == installation


@pytest.mark.failure(18)
@pytest.mark.parametrize("emoji", ["biohazard_sign", "biohazard", "tada"])
def test_only_the_trigger_emoji_and_its_aliases_count(emoji: str) -> None:
    expected = "other_emoji" if emoji != "biohazard_sign" and canonical(emoji) != canonical("biohazard_sign") else "job"
    found = outcome(envelope(emoji))
    assert ("job" if isinstance(found, Job) else found) == expected


@pytest.mark.failure(18)
@pytest.mark.parametrize("trigger", ["+1", "thumbsup", ":thumbsup:", "tada,thumbsup"])
@pytest.mark.parametrize("emoji", ["+1", "thumbsup", "thumbsup::skin-tone-2", "+1::skin-tone-6"])
def test_skin_tones_and_aliases_count_as_the_same_emoji(trigger: str, emoji: str) -> None:
    found = outcome(envelope(emoji), Settings.from_environ({"TRIGGER_EMOJI": trigger}))
    assert isinstance(found, Job), found


@pytest.mark.failure(18)
def test_a_custom_emoji_stands_for_itself() -> None:
    settings = Settings.from_environ({"TRIGGER_EMOJI": "is-this-ok"})
    assert isinstance(outcome(envelope("is-this-ok"), settings), Job)
    assert outcome(envelope("this-is-ok"), settings) == "other_emoji"


@pytest.mark.failure(19)
def test_reactions_of_users_in_ignored_reactors_are_dropped() -> None:
    payload = envelope(user="U0DEPLOYBOT")
    assert isinstance(outcome(payload), Job)
    assert outcome(payload, Settings.from_environ({"IGNORED_REACTORS": "U1,U0DEPLOYBOT"})) == "ignored_reactor"


@pytest.mark.failure(21)
def test_a_webhooks_message_has_no_author_and_is_judged() -> None:
    payload = envelope()
    del payload["event"]["item_user"]
    assert isinstance(outcome(payload), Job)


def test_a_person_who_authorized_the_app_is_not_taken_for_the_bot() -> None:
    payload = envelope()
    payload["authorizations"] = [{"user_id": "U0GRACE", "is_bot": False}]
    assert isinstance(outcome(payload), Job)


@pytest.mark.failure(21)
def test_an_authorization_without_a_user_matches_no_author() -> None:
    payload = envelope()
    del payload["event"]["item_user"]
    payload["authorizations"] = [{"is_bot": True}]
    assert isinstance(outcome(payload), Job)


@pytest.mark.failure(45)
def test_shared_channels_are_ignored_unless_allowed() -> None:
    payload = envelope() | {"is_ext_shared_channel": True}
    assert outcome(payload) == "shared_channel"
    assert isinstance(outcome(payload, Settings.from_environ({"REPLY_IN_SHARED_CHANNELS": "yes"})), Job)


@pytest.mark.failure(58)
@pytest.mark.parametrize(("age", "expected"), [(6 * 3600, "job"), (6 * 3600 + 1, "late_event"), (-60, "job")])
def test_an_event_older_than_the_setting_is_dropped(age: float, expected: str) -> None:
    found = outcome(envelope(), age=age)
    assert ("job" if isinstance(found, Job) else found) == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "block_actions"}, "unknown_type"),
        ({"type": None}, "unknown_type"),
        ({"event": "reaction_added"}, "unknown_type"),
        ({"event": None}, "unknown_type"),
        ({"team_id": None}, "malformed_event"),
        ({"team_id": "T0/../C0"}, "malformed_event"),
        ({"team_id": "T\u00df"}, "malformed_event"),
        ({"event_id": ["Ev1"]}, "malformed_event"),
        ({"event_time": "1731000000"}, "malformed_event"),
        ({"event_time": 10**400}, "malformed_event"),
        ({"event_time": -1}, "malformed_event"),
    ],
)
def test_an_unknown_or_malformed_envelope_is_dropped_with_its_reason(change: dict[str, Any], reason: str) -> None:
    assert outcome(envelope() | change) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "reaction_removed"}, "unknown_event"),
        ({"type": "message"}, "unknown_event"),
        ({"type": "app_mention"}, "unknown_event"),
        ({"item": {"type": "file", "file": "F1"}}, "malformed_event"),
        ({"item": {"type": "message", "channel": "C1"}}, "malformed_event"),
        ({"item": {"type": "message", "channel": "C1", "ts": "yesterday"}}, "malformed_event"),
        ({"item": {"type": "message", "channel": "c/1", "ts": "1.1"}}, "malformed_event"),
        ({"item": None}, "malformed_event"),
        ({"user": ""}, "malformed_event"),
        ({"user": {}}, "malformed_event"),
        ({"reaction": None}, "other_emoji"),
        ({"reaction": ["biohazard_sign"]}, "other_emoji"),
    ],
)
def test_an_unknown_or_malformed_event_is_dropped_with_its_reason(change: dict[str, Any], reason: str) -> None:
    assert outcome(envelope(**change)) == reason


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=4,
)


@given(
    payload=st.dictionaries(
        st.sampled_from(["type", "event", "team_id", "event_id", "event_time", "authorizations"]), VALUES, max_size=2
    ),
    event=st.dictionaries(st.sampled_from(["type", "user", "reaction", "item", "item_user"]), VALUES, max_size=2),
)
def test_no_payload_raises(payload: dict[str, Any], event: dict[str, Any]) -> None:
    sent = envelope(**event) | payload
    assert isinstance(outcome(sent), Job | str)
