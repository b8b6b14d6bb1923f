"""The local Slack's HTTP API for actions of people: the events to the app and the errors for invalid requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from slack_sdk.webhook import WebhookClient

from local.events import Deliveries
from local.slack_server import SlackServer
from tests.local.conftest import ADA, GENERAL, GRACE
from tests.local.test_interactions import BLOCKS, MODAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slack_sdk import WebClient

    from local.workspace import Workspace
    from tests.local.conftest import Receiver


def ask(slack: SlackServer, path: str, fields: object = None) -> tuple[int, dict[str, Any]]:
    body = None if fields is None else fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    try:
        with urlopen(Request(f"{slack.address}/local/{path}", data=body), timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture
def telling(workspace: Workspace, receiver: Receiver) -> Iterator[SlackServer]:
    """A local Slack that sends events to an app."""
    deliveries = Deliveries(receiver.url, "secret", delays=())
    with SlackServer(workspace, deliveries=deliveries, send_message_events=True) as slack:
        yield slack


def test_post_react_and_read(slack: SlackServer) -> None:
    status, posted = ask(slack, "post", {"channel": GENERAL, "user": ADA, "text": "<b> & co"})
    assert (status, posted["message"]["text"]) == (200, "&lt;b&gt; &amp; co")
    reaction = {"channel": GENERAL, "ts": posted["message"]["ts"], "user": GRACE, "emoji": ":eyes:"}
    status, reacted = ask(slack, "react", reaction)
    assert (status, reacted["event"]["reaction"]) == (200, "eyes")
    assert "deliveries" not in posted.keys() | reacted.keys()
    _, read = ask(slack, f"conversation?channel={GENERAL}")
    assert read["messages"][0]["reactions"] == [{"name": "eyes", "users": [GRACE], "count": 1}]
    _, about = ask(slack, "workspace")
    assert {"id": "C0PRIVATE", "name": "private", "kind": "private"} in about["channels"]
    assert {"id": ADA, "name": "ada", "is_bot": False} in about["users"]


def test_the_app_receives_events_for_messages_and_reactions(telling: SlackServer, receiver: Receiver) -> None:
    _, posted = ask(telling, "post", {"channel": GENERAL, "user": ADA, "text": "Good morning."})
    ts = posted["message"]["ts"]
    assert [posted["event"][name] for name in ("type", "channel", "ts")] == ["message", GENERAL, ts]
    _, reacted = ask(telling, "react", {"channel": GENERAL, "ts": ts, "user": GRACE, "emoji": "eyes"})
    delivered = [json.loads(request.body) for request in receiver.requests]
    for answer, envelope in zip((posted, reacted), delivered, strict=True):
        assert [(one["status"], one["failure"]) for one in answer["deliveries"]] == [(200, "")]
        assert envelope["event"] == answer["event"]
        assert envelope["authorizations"][0]["user_id"] == telling.workspace.identity.bot_user_id


def test_people_use_shortcuts_and_commands_and_see_the_answers(
    telling: SlackServer, receiver: Receiver, root: str
) -> None:
    _, sent = ask(telling, "shortcut", {"channel": GENERAL, "ts": root, "user": GRACE, "callback_id": "check_toxicity"})
    _, typed = ask(telling, "command", {"channel": GENERAL, "user": ADA, "text": "Hello"})
    assert [sent["delivery"]["status"], typed["delivery"]["status"]] == [200, 200]
    assert len(receiver.requests) == 2
    WebhookClient(sent["payload"]["response_url"]).send(text="hello")
    assert [one["text"] for one in ask(telling, f"private?user={GRACE}")[1]["messages"]] == ["hello"]
    assert ask(telling, f"private?user={ADA}")[1]["messages"] == []


def test_people_click_buttons_and_submit_forms(client: WebClient, slack: SlackServer) -> None:
    ts = client.chat_postMessage(channel=GENERAL, text="card", blocks=BLOCKS)["ts"]
    button = {"channel": GENERAL, "ts": ts, "user": GRACE, "action_id": "feedback", "value": "no"}
    clicked = ask(slack, "click", button)[1]["payload"]
    assert (clicked["type"], clicked["actions"][0]["value"]) == ("block_actions", "no")
    assert clicked["response_url"].startswith(slack.address)
    client.views_open(trigger_id=clicked["trigger_id"], view=MODAL)
    sent = ask(slack, "form", {"user": GRACE, "note": "help"})[1]["payload"]
    assert sent["view"]["state"]["values"]["note"]["note"]["value"] == "help"
    assert ask(slack, "form", {"user": GRACE}) == (400, {"ok": False, "error": "not_found"})


@pytest.mark.parametrize(
    ("path", "fields", "status", "message"),
    [
        ("post", b"{", 400, "The body is not JSON."),
        ("post", [], 400, "The body must be an object with channel, user, text"),
        ("post", {"channel": GENERAL, "user": ADA}, 400, "missing a required argument: 'text'"),
        ("post", {"channel": GENERAL, "user": ADA, "text": 1}, 400, "text has the wrong type."),
        ("post", {"channel": GENERAL, "user": ADA, "text": "x", "txet": "y"}, 400, "keyword argument 'txet'"),
        ("post", {"channel": "C0NOWHERE", "user": ADA, "text": "x"}, 400, "channel_not_found"),
        ("react", {"channel": GENERAL, "ts": "1", "user": ADA, "emoji": "x"}, 400, "message_not_found"),
        ("conversation", None, 400, "missing a required argument: 'channel'"),
        ("shout", {}, 404, "POST /local/post"),
    ],
)
def test_an_invalid_request_is_explained(
    slack: SlackServer, path: str, fields: object, status: int, message: str
) -> None:
    got, answer = ask(slack, path, fields)
    assert (got, answer["ok"]) == (status, False)
    assert message in answer["error"]
