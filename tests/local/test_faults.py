"""Scripted faults reach slack_sdk's client as real failures would."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.error import URLError

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from local.faults import Call, ErrorBody, Fault, HtmlError, Pass, RateLimited, Reply, Reset, Slow
from local.slack_server import SlackServer

if TYPE_CHECKING:
    from local.workspace import Workspace

GENERAL, ADA = "C0GENERAL", "U0ADA"


@pytest.mark.parametrize("retry_after", ["3", "Fri, 08 Nov 2024 10:00:00 GMT"])
def test_a_rate_limit_says_when_to_come_again(slack: SlackServer, client: WebClient, retry_after: str) -> None:
    slack.faults.add("chat.postMessage", RateLimited(retry_after))
    with pytest.raises(SlackApiError, match="ratelimited") as caught:
        client.chat_postMessage(channel=GENERAL, text="x")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == retry_after
    assert client.chat_postMessage(channel=GENERAL, text="x")["ok"]


@pytest.mark.parametrize("status", [200, 502, 504])
def test_a_page_instead_of_json(slack: SlackServer, client: WebClient, status: int) -> None:
    slack.faults.add("auth.test", HtmlError(status))
    with pytest.raises(SlackApiError) as caught:
        client.auth_test()
    assert caught.value.response.status_code == status
    assert [(call.status, call.error) for call in slack.calls] == [(status, f"html_{status}")]


@pytest.mark.parametrize(("before_work", "posted"), [(True, 0), (False, 1)])
def test_a_page_takes_the_place_of_the_work_or_of_its_reply(
    slack: SlackServer, client: WebClient, before_work: bool, posted: int
) -> None:
    slack.faults.add("chat.postMessage", HtmlError(504, before_work=before_work))
    with pytest.raises(SlackApiError):
        client.chat_postMessage(channel=GENERAL, text="x")
    assert len(slack.workspace.conversation(GENERAL)) == posted
    assert [call.status for call in slack.calls] == [504]


@pytest.mark.parametrize(("before_work", "posted"), [(True, 0), (False, 1)])
def test_a_reset_connection_loses_the_request_or_the_reply(
    slack: SlackServer, client: WebClient, before_work: bool, posted: int
) -> None:
    slack.faults.add("chat.postMessage", Reset(before_work=before_work))
    with pytest.raises((URLError, ConnectionResetError)):
        client.chat_postMessage(channel=GENERAL, text="x")
    assert len(slack.workspace.conversation(GENERAL)) == posted
    assert [call.status for call in slack.calls] == [0]


def test_slacks_own_error(slack: SlackServer, client: WebClient) -> None:
    slack.faults.add("chat.postMessage", ErrorBody("fatal_error"))
    with pytest.raises(SlackApiError, match="fatal_error"):
        client.chat_postMessage(channel=GENERAL, text="x")
    assert slack.workspace.conversation(GENERAL) == []


class AnnouncedSlow(Slow):
    """Says when it has begun."""

    begun = threading.Event()

    def before(self, closing: threading.Event) -> Reply | None:
        self.begun.set()
        return super().before(closing)


def test_a_slow_call_ends_when_the_server_closes(workspace: Workspace) -> None:
    """Given a call that takes an hour, when the server closes, then the call ends at once, its work done."""
    answers: list[bool] = []
    with SlackServer(workspace) as slack:
        fault = AnnouncedSlow(3600)
        slack.faults.add("chat.postMessage", fault)
        patient = WebClient(token=workspace.token, base_url=slack.url, retry_handlers=[])
        call = threading.Thread(
            target=lambda: answers.append(patient.chat_postMessage(channel=GENERAL, text="x")["ok"])
        )
        call.start()
        assert fault.begun.wait(5)
    call.join(5)
    assert answers == [True]


def test_a_client_that_gives_up_does_not_disturb_the_server(slack: SlackServer) -> None:
    hasty = WebClient(token=slack.workspace.token, base_url=slack.url, retry_handlers=[], timeout=0.05)  # type: ignore[arg-type]
    slack.faults.add("auth.test", Slow(3600))
    with pytest.raises((TimeoutError, URLError)):
        hasty.auth_test()
    hasty.timeout = 5
    assert hasty.auth_test()["ok"]


def test_a_hook_acts_between_two_calls(slack: SlackServer, client: WebClient) -> None:
    """Given a message, when it is deleted after the fetch and before the post, then the post finds it gone."""
    ts = slack.workspace.post(GENERAL, ADA, "rude")["ts"]
    slack.faults.add("chat.postMessage", Call(lambda: slack.workspace.delete(GENERAL, ts)))
    assert client.conversations_replies(channel=GENERAL, ts=ts)["messages"]
    answer = client.chat_postMessage(channel=GENERAL, text="verdict", thread_ts=ts)
    assert "thread_ts" not in answer["message"]


def test_a_hook_acts_once_the_work_is_done(slack: SlackServer, client: WebClient) -> None:
    seen: list[int] = []
    slack.faults.add(
        "chat.postMessage", Call(lambda: seen.append(len(slack.workspace.conversation(GENERAL))), before_work=False)
    )
    client.chat_postMessage(channel=GENERAL, text="verdict")
    assert seen == [1]


def test_faults_come_in_order_once_each_and_only_to_their_method(slack: SlackServer, client: WebClient) -> None:
    script: list[Fault] = [Pass(), ErrorBody("internal_error")]
    for fault in script:
        slack.faults.add("auth.test", fault)
    slack.faults.add("chat.postMessage", RateLimited(), times=2)
    assert client.auth_test()["ok"]
    with pytest.raises(SlackApiError, match="internal_error"):
        client.auth_test()
    assert client.auth_test()["ok"]
    assert slack.faults.left() == 2
    slack.faults.clear()
    assert client.chat_postMessage(channel=GENERAL, text="x")["ok"]
