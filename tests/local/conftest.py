"""A local Slack with two people, a fixed clock, and slack_sdk's client without retries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from slack_sdk import WebClient

from local.slack_server import SlackServer
from local.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.example(clock=lambda: 1731000000.0)


@pytest.fixture
def slack(workspace: Workspace) -> Iterator[SlackServer]:
    with SlackServer(workspace) as server:
        yield server


@pytest.fixture
def client(slack: SlackServer) -> WebClient:
    return WebClient(token=slack.workspace.token, base_url=slack.url, retry_handlers=[], timeout=5)
