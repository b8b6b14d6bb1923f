"""Scripted faults look like real failures to slack_sdk's client."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.error import URLError

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from local.faults import Call, ErrorBody, Fault, HtmlError, RateLimited, Reply, Reset, Slow
from local.slack_server import SlackServer
from tests.local.conftest import GENERAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.workspace import Workspace


@pytest.mark.parametrize("retry_after", ["3", "Fri, 08 Nov 2024 10:00:00 GMT"])
def test_a_rate_limit_has_a_retry_after_header(slack: SlackServer, client: WebClient, retry_after: str) -> None:
    slack.faults.add("chat.postMessage", RateLimited(retry_after))
    with pytest.raises(SlackApiError, match="ratelimited") as caught:
        client.chat_postMessage(channel=GENERAL, text="x")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == retry_after
    assert client.chat_postMessage(channel=GENERAL, text="x")["ok"]


@pytest.mark.parametrize("before_work", [True, False])
@pytest.mark.parametrize(("kind", "status", "error"), [(HtmlError, 502, "html_502"), (Reset, 0, "connection_reset")])
def test_a_failure_loses_the_call_or_only_its_response(
    slack: SlackServer, client: WebClient, kind: Callable[..., Fault], status: int, error: str, before_work: bool
) -> None:
    slack.faults.add("chat.postMessage", kind(before_work=before_work))
    with pytest.raises((SlackApiError, URLError, ConnectionResetError)):
        client.chat_postMessage(channel=GENERAL, text="x")
    assert len(slack.workspace.conversation(GENERAL)) == (0 if before_work else 1)
    assert [(call.status, call.error) for call in slack.calls] == [(status, error)]


class AnnouncedSlow(Slow):
    """Sets an event when the call has begun."""

    begun = threading.Event()

    def before(self, closing: threading.Event) -> Reply | None:
        self.begun.set()
        return super().before(closing)


def test_a_slow_call_ends_when_the_server_closes(workspace: Workspace) -> None:
    """When the server closes, a call that would take an hour completes at once."""
    with ThreadPoolExecutor(1) as threads, SlackServer(workspace) as slack:
        fault = AnnouncedSlow(3600)
        slack.faults.add("chat.postMessage", fault)
        patient = WebClient(token=workspace.token, base_url=slack.url, retry_handlers=[])
        call = threads.submit(patient.chat_postMessage, channel=GENERAL, text="x")
        assert fault.begun.wait(5)
    assert call.result(5)["ok"]
    with pytest.raises(URLError, match="refused"):  # the port is free again
        patient.auth_test()


def test_a_client_timeout_does_not_disturb_the_server(slack: SlackServer) -> None:
    hasty = WebClient(token=slack.workspace.token, base_url=slack.url, retry_handlers=[], timeout=0.05)  # type: ignore[arg-type]
    slack.faults.add("auth.test", Slow(3600))
    with pytest.raises((TimeoutError, URLError)):
        hasty.auth_test()
    hasty.timeout = 5
    assert hasty.auth_test()["ok"]


@pytest.mark.parametrize("before_work", [True, False])
def test_a_hook_runs_before_or_after_the_call(slack: SlackServer, client: WebClient, before_work: bool) -> None:
    seen: list[int] = []
    hook = Call(lambda: seen.append(len(slack.workspace.conversation(GENERAL))), before_work=before_work)
    slack.faults.add("chat.postMessage", hook)
    client.chat_postMessage(channel=GENERAL, text="verdict")
    assert seen == [0 if before_work else 1]


def test_each_fault_applies_once_in_order_and_only_to_its_method(slack: SlackServer, client: WebClient) -> None:
    slack.faults.add("auth.test", Fault())
    slack.faults.add("auth.test", ErrorBody("internal_error"))
    slack.faults.add("chat.postMessage", RateLimited(), times=2)
    assert client.auth_test()["ok"]
    with pytest.raises(SlackApiError, match="internal_error"):
        client.auth_test()
    assert client.auth_test()["ok"]
    assert slack.faults.left() == 2
    slack.faults.clear()
    assert client.chat_postMessage(channel=GENERAL, text="x")["ok"]
