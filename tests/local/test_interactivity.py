"""Modals, buttons and changed messages of the local Slack, asked by slack_sdk's own client over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from slack_sdk.errors import SlackApiError

from local.channel import RefusedError
from local.views import TRIGGER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from slack_sdk import WebClient

    from local.slack_server import SlackServer
    from local.workspace import Workspace

GENERAL, ADA, GRACE = "C0GENERAL", "U0ADA", "U0GRACE"


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


INPUT = {"type": "plain_text_input", "action_id": "note", "max_length": 5}
FIELD = {"type": "input", "block_id": "note", "optional": True, "label": plain("Note"), "element": INPUT}
MODAL = {
    "type": "modal", "callback_id": "report", "title": plain("Report"), "submit": plain("Send"), "blocks": [FIELD],
    "private_metadata": "ids", "notify_on_close": True,
}  # fmt: skip
BUTTON = {"type": "button", "action_id": "take", "text": plain("I'll look"), "value": "card"}
FEEDBACK = {
    "type": "feedback_buttons", "action_id": "feedback",
    "positive_button": {"text": plain("Right"), "value": "yes"},
    "negative_button": {"text": plain("Wrong"), "value": "no"},
}  # fmt: skip
BLOCKS = [{"type": "actions", "elements": [BUTTON]}, {"type": "context_actions", "elements": [FEEDBACK]}]


def code(call: Callable[[], object]) -> str:
    """Slack's error for a call that it refuses."""
    with pytest.raises(SlackApiError) as refused:
        call()
    return str(refused.value.response["error"])


def test_a_modal_opens_once_for_each_trigger_and_sends_what_a_person_typed(
    client: WebClient, workspace: Workspace, slack: SlackServer
) -> None:
    trigger = workspace.views.trigger(ADA)
    client.views_open(trigger_id=trigger, view=MODAL)
    assert code(lambda: client.views_open(trigger_id=trigger, view=MODAL)) == "exchanged_trigger_id"
    payload = slack.send_form(ADA, note="help")
    assert (payload["type"], payload["user"]["id"], payload["view"]["private_metadata"]) == (
        "view_submission", ADA, "ids",
    )  # fmt: skip
    assert payload["view"]["state"]["values"] == {"note": {"note": {"type": "plain_text_input", "value": "help"}}}
    with pytest.raises(RefusedError):
        slack.send_form(ADA)


def test_a_trigger_is_known_and_valid_for_three_seconds(client: WebClient, workspace: Workspace) -> None:
    assert code(lambda: client.views_open(trigger_id="1.2.3", view=MODAL)) == "invalid_trigger_id"
    trigger = workspace.views.trigger(ADA)
    now = workspace.clock()
    workspace.clock = lambda: now + TRIGGER_SECONDS + 1
    assert code(lambda: client.views_open(trigger_id=trigger, view=MODAL)) == "expired_trigger_id"


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
def test_a_modal_that_slack_would_refuse_is_refused(
    client: WebClient, workspace: Workspace, change: dict[str, Any]
) -> None:
    view = {name: value for name, value in (MODAL | change).items() if value is not None}
    assert code(lambda: client.views_open(trigger_id=workspace.views.trigger(ADA), view=view)) == "invalid_arguments"
    assert workspace.views.open == {}


def test_an_input_takes_no_more_than_it_says(client: WebClient, workspace: Workspace, slack: SlackServer) -> None:
    client.views_open(trigger_id=workspace.views.trigger(ADA), view=MODAL)
    for typed in ({"note": "too long"}, {"other": "x"}):
        with pytest.raises(RefusedError):
            slack.send_form(ADA, **typed)
    closed = slack.close_form(ADA)
    assert closed
    assert closed["view"]["callback_id"] == "report"


def test_a_click_tells_which_button_of_which_message(client: WebClient, slack: SlackServer) -> None:
    ts = client.chat_postMessage(channel=GENERAL, text="card", blocks=BLOCKS)["ts"]
    wrong = slack.click(GENERAL, ts, GRACE, "feedback", value="no")
    assert [(one["type"], one["value"]) for one in wrong["actions"]] == [("feedback_buttons", "no")]
    assert (wrong["container"]["message_ts"], wrong["message"]["text"]) == (ts, "card")
    assert slack.click(GENERAL, ts, GRACE, "take")["actions"][0]["text"] == plain("I'll look")
    for user, action in ((GRACE, "nothing"), ("U0STRANGER", "take")):
        with pytest.raises(RefusedError):
            slack.click(GENERAL, ts, user, action)


@pytest.mark.parametrize(
    "change",
    [{"value": "x" * 2001}, {"value": ""}, {"text": plain("x" * 76)}, {"accessibility_label": "x" * 76}],
    ids=str,
)
def test_feedback_buttons_that_slack_would_refuse_are_refused(client: WebClient, change: dict[str, Any]) -> None:
    wrong = FEEDBACK | {"positive_button": {"text": plain("Right"), "value": "yes"} | change}
    blocks = [{"type": "context_actions", "elements": [wrong]}]
    assert code(lambda: client.chat_postMessage(channel=GENERAL, text="x", blocks=blocks)) == "invalid_blocks"


def test_only_the_apps_own_messages_are_changed_and_their_metadata_stays(
    client: WebClient, workspace: Workspace, root: str
) -> None:
    mark = {"event_type": "card", "event_payload": {"key": "k"}}
    ts = client.chat_postMessage(channel=GENERAL, text="open", blocks=BLOCKS, metadata=mark)["ts"]
    client.chat_update(channel=GENERAL, ts=ts, text="done", blocks=[{"type": "section", "text": plain("done")}])
    changed = workspace.message(GENERAL, ts)
    assert (changed["text"], changed["metadata"], len(changed["blocks"])) == ("done", mark, 1)
    client.chat_update(channel=GENERAL, ts=ts, text="a text takes the place of blocks")
    assert [block["type"] for block in workspace.message(GENERAL, ts)["blocks"]] == ["rich_text"]
    assert code(lambda: client.chat_update(channel=GENERAL, ts=root, text="x")) == "cant_update_message"
    assert code(lambda: client.chat_update(channel=GENERAL, ts="1.2", text="x")) == "message_not_found"
    workspace.archive(GENERAL)
    assert code(lambda: client.chat_update(channel=GENERAL, ts=ts, text="x")) == "is_inactive"


def test_people_click_and_send_forms_over_http(client: WebClient, slack: SlackServer, workspace: Workspace) -> None:
    def call(path: str, fields: dict[str, str]) -> dict[str, Any]:
        body = json.dumps(fields).encode()
        with urlopen(Request(f"{slack.address}/local/{path}", data=body), timeout=5) as given:
            payload: dict[str, Any] = json.load(given)["payload"]
        return payload

    ts = client.chat_postMessage(channel=GENERAL, text="card", blocks=BLOCKS)["ts"]
    clicked = call("click", {"channel": GENERAL, "ts": ts, "user": GRACE, "action_id": "feedback", "value": "no"})
    assert (clicked["type"], clicked["actions"][0]["value"]) == ("block_actions", "no")
    assert clicked["response_url"].startswith(slack.address)
    client.views_open(trigger_id=clicked["trigger_id"], view=MODAL)
    sent = call("form", {"user": GRACE, "note": "help"})
    assert sent["view"]["state"]["values"]["note"]["note"]["value"] == "help"
    with pytest.raises(HTTPError):
        call("form", {"user": GRACE})
