"""The local Slack's shortcuts and commands, and the addresses that it gives for answers to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from urllib.request import Request, urlopen

import pytest
from slack_sdk.webhook import WebhookClient

from local.events import Deliveries, as_form
from local.interactions import MOST_ANSWERS, VALID_SECONDS
from local.slack_server import SlackServer
from local.workspace import RefusedError
from tests.toxicity_bot.test_slack_request import signature

if TYPE_CHECKING:
    from local.workspace import Workspace
    from tests.local.conftest import Receiver

GENERAL, RANDOM, ADA, GRACE = "C0GENERAL", "C0RANDOM", "U0ADA", "U0GRACE"


def answer(url: str, **body: Any) -> tuple[int, str]:
    """Answer as slack_sdk does; return the status and Slack's word for it."""
    given = WebhookClient(url, retry_handlers=[], timeout=5).send_dict({"text": "hello", **body})
    return given.status_code, given.body if given.status_code == 200 else json.loads(given.body)["error"]


def test_an_answer_is_seen_by_one_person_also_where_the_app_is_no_member(slack: SlackServer) -> None:
    url = slack.slash_command("Hello", RANDOM, GRACE)["response_url"]
    assert answer(url) == (200, "ok")
    (seen,) = slack.workspace.ephemerals
    assert (seen["channel"], seen["user"], seen["text"]) == (RANDOM, GRACE, "hello")
    assert slack.workspace.conversation(RANDOM) == []
    assert [(call.method, call.status) for call in slack.calls] == [("response_url", 200)]


def test_an_answer_for_the_channel_is_seen_by_all(slack: SlackServer) -> None:
    answer(slack.slash_command("Hello", GENERAL, GRACE)["response_url"], response_type="in_channel")
    assert [one["text"] for one in slack.workspace.conversation(GENERAL)] == ["hello"]


def test_an_address_takes_five_answers_in_half_an_hour(slack: SlackServer) -> None:
    now = slack.workspace.clock()
    first, second = (slack.slash_command("Hello", GENERAL, GRACE)["response_url"] for _ in range(2))
    assert first != second
    assert [answer(first)[0] for _ in range(MOST_ANSWERS)] == [200] * 5
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
def test_a_wrong_answer_is_refused_and_not_shown(slack: SlackServer, body: dict[str, Any], error: str) -> None:
    assert answer(slack.slash_command("Hello", GENERAL, GRACE)["response_url"], **body) == (400, error)
    assert slack.workspace.ephemerals == []


def test_without_its_scope_the_app_has_neither_shortcut_nor_command(slack: SlackServer, root: str) -> None:
    slack.workspace.revoke("commands")
    with pytest.raises(RefusedError, match="missing_scope"):
        slack.message_action("check_toxicity", GENERAL, root, GRACE)
    with pytest.raises(RefusedError, match="missing_scope"):
        slack.slash_command("Hello", GENERAL, GRACE)


def test_forms_are_signed_and_sent_once(slack: SlackServer, receiver: Receiver, root: str) -> None:
    receiver.statuses = [500]
    sender = Deliveries(receiver.url, "8f742231b10e8888abcd99yyyzzz85a5", clock=lambda: 1531420618)
    payload = slack.message_action("check_toxicity", GENERAL, root, GRACE)
    assert sender.ask(payload).failure == "http_error"
    (received,) = receiver.requests
    assert received.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert received.headers["X-Slack-Signature"] == signature(received.body)
    assert json.loads(parse_qs(received.body.decode())["payload"][0]) == payload
    assert b"&text=1+%26lt%3B+2&" in as_form(slack.slash_command("1 < 2", GENERAL, GRACE))


def test_people_use_them_over_http_and_see_their_answers(workspace: Workspace, receiver: Receiver, root: str) -> None:
    with SlackServer(workspace, deliveries=Deliveries(receiver.url, "secret")) as slack:

        def call(path: str, fields: dict[str, str] | None = None) -> Any:
            body = None if fields is None else json.dumps(fields).encode()
            with urlopen(Request(f"{slack.address}/local/{path}", data=body), timeout=5) as given:
                return json.load(given)

        shortcut = {"channel": GENERAL, "ts": root, "user": GRACE, "callback_id": "check_toxicity"}
        sent = call("shortcut", shortcut)
        assert sent["delivery"]["status"] == 200
        assert call("command", {"channel": GENERAL, "user": ADA, "text": "Hello"})["delivery"]["status"] == 200
        assert len(receiver.requests) == 2
        answer(sent["payload"]["response_url"])
        assert [one["text"] for one in call(f"private?user={GRACE}")["messages"]] == ["hello"]
        assert call(f"private?user={ADA}")["messages"] == []
