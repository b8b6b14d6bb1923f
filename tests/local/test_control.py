"""What another process can do in the local Slack over HTTP, and the errors for wrong requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from local.events import Deliveries
from local.slack_server import SlackServer

if TYPE_CHECKING:
    from local.workspace import Workspace
    from tests.local.conftest import Receiver


def ask(url: str, fields: object = None) -> tuple[int, dict[str, Any]]:
    body = None if fields is None else fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    try:
        with urlopen(Request(url, data=body), timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_post_react_and_read(slack: SlackServer) -> None:
    status, posted = ask(f"{slack.address}/local/post", {"channel": "C0GENERAL", "user": "U0ADA", "text": "<b> & co"})
    assert (status, posted["message"]["text"]) == (200, "&lt;b&gt; &amp; co")
    ts = posted["message"]["ts"]
    reaction = {"channel": "C0GENERAL", "ts": ts, "user": "U0GRACE", "emoji": ":eyes:"}
    status, reacted = ask(f"{slack.address}/local/react", reaction)
    assert (status, reacted["event"]["reaction"]) == (200, "eyes")
    assert "deliveries" not in reacted
    _, read = ask(f"{slack.address}/local/conversation?channel=C0GENERAL")
    assert read["messages"][0]["reactions"] == [{"name": "eyes", "users": ["U0GRACE"], "count": 1}]
    _, about = ask(f"{slack.address}/local/workspace")
    assert {"id": "C0PRIVATE", "name": "private", "kind": "private"} in about["channels"]
    assert {"id": "U0ADA", "name": "ada", "is_bot": False} in about["users"]


def test_a_reaction_is_delivered_where_a_request_url_is_known(workspace: Workspace, receiver: Receiver) -> None:
    ts = workspace.post("C0GENERAL", "U0ADA", "hello")["ts"]
    with SlackServer(workspace, deliveries=Deliveries(receiver.url, "secret", delays=())) as slack:
        reaction = {"channel": "C0GENERAL", "ts": ts, "user": "U0GRACE", "emoji": "eyes"}
        _, answer = ask(f"{slack.address}/local/react", reaction)
    assert [(one["status"], one["failure"]) for one in answer["deliveries"]] == [(200, "")]
    (request,) = receiver.requests
    delivered = json.loads(request.body)
    assert delivered["event"] == answer["event"]
    assert delivered["authorizations"][0]["user_id"] == workspace.identity.bot_user_id


def test_what_people_write_is_told_to_an_app_that_watches(workspace: Workspace, receiver: Receiver) -> None:
    deliveries = Deliveries(receiver.url, "secret", delays=())
    message = {"channel": "C0GENERAL", "user": "U0ADA", "text": "Good morning."}
    with SlackServer(workspace, deliveries=deliveries, tells_messages=True) as slack:
        _, answer = ask(f"{slack.address}/local/post", message)
    assert [(one["status"], one["failure"]) for one in answer["deliveries"]] == [(200, "")]
    event = answer["event"]
    assert (event["type"], event["channel"], event["ts"]) == ("message", "C0GENERAL", answer["message"]["ts"])


@pytest.mark.parametrize(
    ("path", "fields", "status", "message"),
    [
        ("post", b"{", 400, "the body is not JSON"),
        ("post", [], 400, "not a JSON object with channel user text"),
        ("post", {"channel": "C0GENERAL", "user": "U0ADA"}, 400, "text is missing"),
        ("post", {"channel": "C0GENERAL", "user": "U0ADA", "text": "x", "txet": "y"}, 400, "txet is unknown"),
        ("post", {"channel": "C0NOWHERE", "user": "U0ADA", "text": "x"}, 400, "channel_not_found"),
        ("react", {"channel": "C0GENERAL", "ts": "1", "user": "U0ADA", "emoji": "x"}, 400, "message_not_found"),
        ("conversation", None, 400, "channel is missing"),
        ("shout", {}, 404, "POST /local/post"),
    ],
)
def test_a_wrong_request_gets_the_reason(
    slack: SlackServer, path: str, fields: object, status: int, message: str
) -> None:
    got, answer = ask(f"{slack.address}/local/{path}", fields)
    assert got == status
    assert answer["ok"] is False
    assert message in answer["error"]
