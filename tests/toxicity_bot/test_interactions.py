from typing import Any

import pytest

from local.interactions import Interactions
from local.workspace import Identity, Workspace
from toxicity_bot import cards, interactions
from toxicity_bot.feedback import ACTION_ID as FEEDBACK
from toxicity_bot.feedback import verdict_blocks
from toxicity_bot.interactions import UserRequest, is_response_url, request_or_reason
from toxicity_bot.report_form import Form
from toxicity_bot.settings import Settings

NOW = 1731000000
HOOKS = "https://hooks.slack.com"
SETTINGS = Settings.from_environ({"MODERATORS_CHANNEL": "C0GENERAL"})
KEY = "T0LOCAL/C0GENERAL/1731000000.000100/0a1b2c3d"
Changes = list[dict[str, Any]]


def shortcut(name: str = "check_toxicity", **changes: Any) -> dict[str, Any]:
    """The payload that Slack sends for the shortcut on a message in #general."""
    workspace = Workspace.example(lambda: NOW)
    ts = workspace.post("C0GENERAL", "U0ADA", "Hello")["ts"]
    return Interactions(workspace, HOOKS).message_action(name, "C0GENERAL", ts, "U0GRACE") | changes


def command(text: str = "Hello", identity: Identity | None = None, **changes: Any) -> dict[str, Any]:
    workspace = Workspace(identity)
    workspace.add_channel("general", members={workspace.add_user("grace")})
    return Interactions(workspace, HOOKS).slash_command(text, "C0GENERAL", "U0GRACE") | changes


def click(action: str, **changes: Any) -> dict[str, Any]:
    """The payload that Slack sends for a click on a button of a card or a verdict."""
    workspace = Workspace.example(lambda: NOW)
    blocks = cards.blocks("A card", "", "") + verdict_blocks("A verdict", KEY, {"outcome": "toxic", "score": 0.9})
    ts = "1731000000.000200"
    workspace.ephemerals.append({"ts": ts, "blocks": [{"block_id": "a", **block} for block in blocks]})
    payload = Interactions(workspace, HOOKS).click("C0GENERAL", ts, "U0GRACE", action)
    return payload | {"message": {"app_id": payload["api_app_id"]}} | changes


def form(**changes: Any) -> dict[str, Any]:
    """The payload that Slack sends for a report form with a note. `changes` apply to its view."""
    shown = request_or_reason(shortcut("report_message"), SETTINGS, NOW)
    assert isinstance(shown, Form), shown
    workspace = Workspace.example(lambda: NOW)
    workspace.views.show(workspace.views.trigger("U0GRACE"), shown.view)
    payload = Interactions(workspace, HOOKS).send_form("U0GRACE", note="A secret note.")
    return payload | {"view": payload["view"] | changes}


def asked(payload: dict[str, Any]) -> UserRequest:
    ask = request_or_reason(payload, SETTINGS, NOW)
    assert isinstance(ask, UserRequest), ask
    return ask


def test_a_shortcut_becomes_a_job_of_ids_with_the_message_kept_separately() -> None:
    payload = shortcut()
    ask = asked(payload)
    assert ask.content == {"message": payload["message"]}
    assert "Hello" not in ask.job.to_json()
    assert "Hello" not in repr(ask)
    job = ask.job
    assert (job.kind, job.team, job.channel, job.ts) == ("check", "T0LOCAL", "C0GENERAL", payload["message_ts"])
    assert (job.reactor, job.event_id, job.event_time) == ("U0GRACE", payload["trigger_id"], NOW)
    assert job.detail == {"response_url": payload["response_url"]}
    assert asked(payload | {"message": None}) == UserRequest(job), "without a message the worker fetches it"


@pytest.mark.parametrize(
    ("text", "word", "given"),
    [
        ("", "help", {}),
        ("  ", "help", {}),
        ("Help ", "help", {}),
        ("settings", "settings", {}),
        ("help me", None, {"text": "help me"}),
        (" Hello ", None, {"text": " Hello "}),
    ],
)
def test_a_command_is_a_subcommand_or_a_text_to_judge(text: str, word: str | None, given: dict[str, str]) -> None:
    ask = asked(command(text, command="/is-this-ok"))
    assert ask.job.detail["command"] == "/is-this-ok", "the owner can choose the command's name"
    assert (ask.job.kind, ask.job.ts, ask.job.detail.get("word"), ask.content) == ("command", "", word, given)


def test_a_form_becomes_a_job_of_ids_and_its_texts_are_hidden() -> None:
    shown, sent = request_or_reason(shortcut("report_message"), SETTINGS, NOW), asked(form())
    assert "Hello" not in repr(shown)
    assert (sent.content["own"], sent.content["note"]) == ("Hello", "A secret note.")
    assert not {word for word in ("Hello", "secret") if word in repr(sent) + sent.job.to_json()}


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("changes", "installation"),
    [
        ({"enterprise": {"id": "E0GRID"}, "is_enterprise_install": True}, "E0GRID"),
        ({"enterprise": {"id": "E0GRID"}, "is_enterprise_install": True, "team": None}, "E0GRID"),
        ({"enterprise": {"id": "E0GRID"}, "is_enterprise_install": False}, "T0LOCAL"),
        ({"enterprise": None, "is_enterprise_install": True}, "T0LOCAL"),
    ],
)
def test_the_installation_is_the_organisation_or_the_workspace(changes: dict[str, Any], installation: str) -> None:
    assert asked(shortcut(**changes)).job.installation == installation
    install = str(changes["is_enterprise_install"]).lower()
    grid: dict[str, Any] = {"enterprise_id": (changes["enterprise"] or {}).get("id"), "is_enterprise_install": install}
    assert asked(command(**grid)).job.installation == installation
    assert asked(command(identity=Identity(enterprise_id="E0GRID"))).job.installation == "T0LOCAL"


@pytest.mark.failure(12, 108, 117)
@pytest.mark.parametrize(
    ("reason", "payload"),
    [
        *(("unknown_interaction", shortcut(callback_id=name)) for name in ("another", None, ["check_toxicity"])),
        *(("unknown_interaction", payload) for payload in (
            {"type": "block_actions"}, {"type": "block_actions", "actions": []}, {"type": "message_action"},
            {"type": "block_actions", "actions": ["a"]}, {"type": "view_submission", "view": None},
            {"type": "view_submission", "view": {"callback_id": "a"}})),
        *(("malformed_interaction", shortcut(**change)) for change in Changes((
            {"team": {"id": "T/1"}}, {"channel": None}, {"channel": {"id": ["C1"]}}, {"user": "U0GRACE"}, {"user": {}},
            {"trigger_id": None}, {"trigger_id": "a b"}, {"trigger_id": "1" * 101}, {"message_ts": "yesterday"},
            {"message_ts": 1.5}, {"response_url": None}, {"response_url": "https://example.com/"}))),
        *(("malformed_interaction", command(**change)) for change in (
            {"team_id": ""}, {"channel_id": "c/1"}, {"user_id": None}, {"trigger_id": ""}, {"command": "toxicity"},
            {"command": "/a b"}, {"command": "/<!here>"}, {"response_url": ""})),
        *((reason, click(button, **change)) for button in (cards.LOOK, FEEDBACK) for reason, change in (
            ("outsider", {"user": {"id": "U0GRACE", "team_id": "T0GUEST"}}),
            ("other_app", {"message": {"app_id": "A0OTHER"}}), ("malformed_interaction", {"trigger_id": "x" * 200}))),
        *((reason, click(cards.LOOK, **change)) for reason, change in (
            ("other_channel", {"channel": {"id": "C0RANDOM"}}), ("malformed_interaction", {"container": None}),
            ("malformed_interaction", {"actions": [{"action_id": cards.LOOK}]}))),
        ("other_installation", click(FEEDBACK, team={"id": "T0OTHER"}, user={"id": "U0GRACE", "team_id": "T0OTHER"})),
        *(("malformed_interaction", form(**change)) for change in Changes((
            {"private_metadata": "{}"}, {"private_metadata": ""}, {"state": {}}, {"id": None},
            {"private_metadata": form()["view"]["private_metadata"].replace(HOOKS, "https://example.com")}))),
        ("other_app", form(app_id="A0OTHER")),
    ],
)  # fmt: skip
def test_an_unknown_or_malformed_interaction_is_dropped_with_its_reason(reason: str, payload: dict[str, Any]) -> None:
    assert request_or_reason(payload, SETTINGS, NOW) == reason


@pytest.mark.parametrize(
    ("home", "enterprise", "team"),
    [
        ("T0TWO", {"id": "E0GRID"}, {"id": "T0LOCAL"}),
        ("T0TWO", {"id": "E0GRID"}, {"id": "T0TWO"}),
        ("E0GRID", None, {"id": "T0TWO", "enterprise_id": "E0GRID"}),
    ],
)
def test_a_moderator_from_another_team_of_the_same_enterprise_is_accepted(
    home: str, enterprise: dict[str, str] | None, team: dict[str, str]
) -> None:
    payload = click(cards.LOOK, user={"id": "U0GRACE", "team_id": home}, enterprise=enterprise, team=team)
    assert asked(payload).job.detail["action"] == cards.LOOK


@pytest.mark.failure(104)
@pytest.mark.parametrize(
    ("url", "api", "may"),
    [
        ("https://hooks.slack.com/app/T1/2/3", "https://slack.com/api/", True),
        ("https://hooks.slack-gov.com/app/T1/2/3", "https://slack-gov.com/api/", True),
        ("http://127.0.0.1:8090/responses/1", "http://127.0.0.1:8090/api/", True),
        ("http://hooks.slack.com/app", "https://slack.com/api/", False),
        ("https://hooks.slack.com.example.com/app", "https://slack.com/api/", False),
        ("https://hooks.slack.com@example.com/app", "https://slack.com/api/", False),
        ("https://example.com\\@hooks.slack.com/app", "https://slack.com/api/", False),
        ("https://example.com/#hooks.slack.com", "https://slack.com/api/", False),
        ("https://hooks.slack.com:8443/app", "https://slack.com/api/", False),
        ("https://hooks.slack.com/ app", "https://slack.com/api/", False),
        ("https://[hooks.slack.com/app", "https://slack.com/api/", False),
        ("https://hooks.sl\u0430ck.com/app", "https://slack.com/api/", False),
        ("https://hooks.slack.com/" + "a" * 500, "https://slack.com/api/", False),
        ("file:///etc/passwd", "https://slack.com/api/", False),
        ("http://127.0.0.1:8091/responses/1", "http://127.0.0.1:8090/api/", False),
        (None, "https://slack.com/api/", False),
        (7, "https://slack.com/api/", False),
    ],
)
def test_answers_are_sent_to_slacks_own_hosts_only(url: Any, api: str, may: bool) -> None:
    assert is_response_url(url, api) is may


def test_all_interaction_types_and_card_buttons_are_parsed_here_and_events_are_not() -> None:
    kinds = {kind for kind, _ in interactions._READERS}
    assert kinds <= set(interactions.TYPES)
    assert "event_callback" not in interactions.TYPES
    assert cards.STATES.keys() <= {name for kind, name in interactions._READERS if kind == "block_actions"}
