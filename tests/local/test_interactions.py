"""The local Slack's shortcuts, commands, modals, buttons and response URLs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from slack_sdk.webhook import WebhookClient

from local.events import Deliveries, as_form
from local.interactions import MAX_ANSWERS, VALID_SECONDS
from local.views import TRIGGER_SECONDS
from local.workspace import RefusedError
from tests.local.conftest import ADA, GENERAL, GRACE, NOW, RANDOM, refusal

if TYPE_CHECKING:
    from slack_sdk import WebClient

    from local.slack_server import SlackServer
    from local.workspace import Workspace
    from tests.local.conftest import Receiver


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


INPUT = {"type": "plain_text_input", "action_id": "note", "max_length": 5}
FIELD = {"type": "input", "block_id": "note", "optional": True, "label": plain("Note"), "element": INPUT}
MODAL = {
    "type": "modal", "callback_id": "report", "title": plain("Report"), "submit": plain("Send"), "blocks": [FIELD],
    "private_metadata": "ids",
}  # fmt: skip
BUTTON = {"type": "button", "action_id": "take", "text": plain("I'll look"), "value": "card"}
FEEDBACK = {
    "type": "feedback_buttons", "action_id": "feedback",
    "positive_button": {"text": plain("Right"), "value": "yes"},
    "negative_button": {"text": plain("Wrong"), "value": "no"},
}  # fmt: skip
BLOCKS = [{"type": "actions", "elements": [BUTTON]}, {"type": "context_actions", "elements": [FEEDBACK]}]


def answer(url: str, **body: Any) -> tuple[int, str]:
    """Send an answer as slack_sdk does. Return the status and the body of Slack's response."""
    given = WebhookClient(url, retry_handlers=[], timeout=5).send_dict({"text": "hello", **body})
    return given.status_code, given.body if given.status_code == 200 else json.loads(given.body)["error"]


def test_an_answer_is_ephemeral_or_in_the_channel_even_if_the_app_is_not_a_member(slack: SlackServer) -> None:
    assert answer(slack.slash_command("Hello", RANDOM, GRACE)["response_url"]) == (200, "ok")
    (seen,) = slack.workspace.ephemerals
    assert (seen["channel"], seen["user"], seen["text"]) == (RANDOM, GRACE, "hello")
    assert slack.workspace.conversation(RANDOM) == []
    assert [(call.method, call.status) for call in slack.calls] == [("response_url", 200)]
    answer(slack.slash_command("Hello", GENERAL, GRACE)["response_url"], response_type="in_channel")
    assert [one["text"] for one in slack.workspace.conversation(GENERAL)] == ["hello"]


def test_a_response_url_accepts_five_answers_within_30_minutes(slack: SlackServer) -> None:
    now = slack.workspace.clock()
    first, second = (slack.slash_command("Hello", GENERAL, GRACE)["response_url"] for _ in range(2))
    assert first != second
    assert [answer(first)[0] for _ in range(MAX_ANSWERS)] == [200] * 5
    assert answer(first) == (404, "used_url")
    slack.workspace.clock = lambda: now + VALID_SECONDS
    assert answer(second) == (200, "ok")
    slack.workspace.clock = lambda: now + VALID_SECONDS + 1
    assert answer(second) == (404, "expired_url")
    assert answer(f"{slack.address}/responses/999") == (404, "expired_url")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"blocks": [{"type": "sction"}]}, "invalid_blocks"),
        ({"channel": GENERAL}, "invalid_payload"),
    ],
)
def test_an_invalid_answer_is_refused_and_not_shown(slack: SlackServer, body: dict[str, Any], error: str) -> None:
    assert answer(slack.slash_command("Hello", GENERAL, GRACE)["response_url"], **body) == (400, error)
    assert slack.workspace.ephemerals == []


def test_without_the_scope_the_app_has_no_shortcuts_and_no_commands(slack: SlackServer, root: str) -> None:
    slack.workspace.revoke("commands")
    with pytest.raises(RefusedError, match="missing_scope"):
        slack.message_action("check_toxicity", GENERAL, root, GRACE)
    with pytest.raises(RefusedError, match="missing_scope"):
        slack.slash_command("Hello", GENERAL, GRACE)


def test_forms_are_signed_and_sent_once(slack: SlackServer, receiver: Receiver, root: str) -> None:
    receiver.statuses = [500]
    payload = slack.message_action("check_toxicity", GENERAL, root, GRACE)
    assert Deliveries(receiver.url, "secret", clock=lambda: NOW).ask(payload).failure == "http_error"
    (received,) = receiver.requests
    assert received.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert received.is_signed_with("secret")
    assert json.loads(parse_qs(received.body.decode())["payload"][0]) == payload
    assert b"&text=1+%26lt%3B+2&" in as_form(slack.slash_command("1 < 2", GENERAL, GRACE))


def test_a_modal_opens_once_and_is_closed_or_submitted(client: WebClient, slack: SlackServer) -> None:
    trigger = slack.workspace.views.trigger(ADA)
    client.views_open(trigger_id=trigger, view=MODAL)
    assert refusal(client.views_open, trigger_id=trigger, view=MODAL)["error"] == "exchanged_trigger_id"
    for typed in ({"note": "too long"}, {"other": "x"}):
        with pytest.raises(RefusedError):
            slack.send_form(ADA, **typed)
    payload = slack.send_form(ADA, note="help")
    assert (payload["type"], payload["user"]["id"]) == ("view_submission", ADA)
    assert payload["view"]["private_metadata"] == "ids"
    assert payload["view"]["state"]["values"] == {"note": {"note": {"type": "plain_text_input", "value": "help"}}}
    with pytest.raises(RefusedError):
        slack.send_form(ADA)
    for asks in (True, False):
        view = MODAL | {"notify_on_close": asks}
        client.views_open(trigger_id=slack.workspace.views.trigger(ADA), view=view)
        closed = slack.close_form(ADA)
        assert (closed and closed["view"]["callback_id"]) == ("report" if asks else None)
    assert slack.workspace.views.open == {}


def test_a_trigger_id_must_be_known_and_is_valid_for_three_seconds(client: WebClient, workspace: Workspace) -> None:
    assert refusal(client.views_open, trigger_id="1.2.3", view=MODAL)["error"] == "invalid_trigger_id"
    trigger = workspace.views.trigger(ADA)
    now = workspace.clock()
    workspace.clock = lambda: now + TRIGGER_SECONDS + 1
    assert refusal(client.views_open, trigger_id=trigger, view=MODAL)["error"] == "expired_trigger_id"


@pytest.mark.parametrize(
    "change",
    [
        {"title": plain("x" * 25)},
        {"private_metadata": "x" * 3001},
        {"blocks": []},
        {"blocks": [FIELD | {"element": INPUT | {"max_length": 4000}}]},
        {"blocks": [FIELD | {"element": {"type": "crystal_ball"}}]},
        {"type": "home"},
        {"submit": None},
    ],
    ids=str,
)
def test_a_modal_that_real_slack_refuses_is_refused(
    client: WebClient, workspace: Workspace, change: dict[str, Any]
) -> None:
    view = {name: value for name, value in (MODAL | change).items() if value is not None}
    trigger = workspace.views.trigger(ADA)
    assert refusal(client.views_open, trigger_id=trigger, view=view)["error"] == "invalid_arguments"
    assert workspace.views.open == {}


def test_the_payload_of_a_click_names_the_button_and_the_message(client: WebClient, slack: SlackServer) -> None:
    ts = client.chat_postMessage(channel=GENERAL, text="card", blocks=BLOCKS)["ts"]
    wrong = slack.click(GENERAL, ts, GRACE, "feedback", value="no")
    assert [(one["type"], one["value"]) for one in wrong["actions"]] == [("feedback_buttons", "no")]
    assert (wrong["container"]["message_ts"], wrong["message"]["text"]) == (ts, "card")
    assert slack.click(GENERAL, ts, GRACE, "take")["actions"][0]["text"] == plain("I'll look")
    shown = client.chat_postEphemeral(channel=GENERAL, user=GRACE, text="card", blocks=BLOCKS)["message_ts"]
    private = slack.click(GENERAL, shown, GRACE, "take")
    assert (private["container"]["is_ephemeral"], "message" in private) == (True, False)
    for user, action, why in ((GRACE, "nothing", "no_such_button"), ("U0STRANGER", "take", "user_not_in_channel")):
        with pytest.raises(RefusedError, match=why):
            slack.click(GENERAL, ts, user, action)


@pytest.mark.parametrize(
    "change",
    [{"value": "x" * 2001}, {"value": ""}, {"text": plain("x" * 76)}, {"accessibility_label": "x" * 76}],
    ids=str,
)
def test_feedback_buttons_that_real_slack_refuses_are_refused(client: WebClient, change: dict[str, Any]) -> None:
    wrong = FEEDBACK | {"positive_button": {"text": plain("Right"), "value": "yes"} | change}
    blocks = [{"type": "context_actions", "elements": [wrong]}]
    assert refusal(client.chat_postMessage, channel=GENERAL, text="x", blocks=blocks)["error"] == "invalid_blocks"


def test_the_app_can_update_only_its_own_messages_and_their_metadata_stays(
    client: WebClient, workspace: Workspace, root: str
) -> None:
    mark = {"event_type": "card", "event_payload": {"key": "k"}}
    ts = client.chat_postMessage(channel=GENERAL, text="open", blocks=BLOCKS, metadata=mark)["ts"]
    client.chat_update(channel=GENERAL, ts=ts, text="done", blocks=[{"type": "section", "text": plain("done")}])
    changed = workspace.message(GENERAL, ts)
    assert (changed["text"], changed["metadata"], len(changed["blocks"])) == ("done", mark, 1)
    client.chat_update(channel=GENERAL, ts=ts, text="a text takes the place of blocks")
    assert [block["type"] for block in workspace.message(GENERAL, ts)["blocks"]] == ["rich_text"]
    assert refusal(client.chat_update, channel=GENERAL, ts=root, text="x")["error"] == "cant_update_message"
    assert refusal(client.chat_update, channel=GENERAL, ts="1.2", text="x")["error"] == "message_not_found"
    workspace.archive(GENERAL)
    assert refusal(client.chat_update, channel=GENERAL, ts=ts, text="x")["error"] == "is_inactive"
