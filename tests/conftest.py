"""What the tests of `lambda/` share: embedded AWS, a local Slack, the model, and the two handlers.

Servers and the model start once per session; each test gets an empty queue, an empty table and a new workspace.
`receiver` and `worker` read the environment when they are imported, so it is set first.
"""

from __future__ import annotations

import importlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from local.aws import EmbeddedAws
from local.slack_server import SlackServer
from local.web_api import WebApi
from local.workspace import Workspace
from toxicity_bot.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

ROOT = Path(__file__).parent.parent
SIGNING_SECRET = "local-signing-secret"

# An example's time says more about the machine than about the code; what must not be slow is measured on its own.
hypothesis.settings.register_profile("no_deadline", deadline=None)
hypothesis.settings.load_profile("no_deadline")


@pytest.fixture(scope="session")
def _slack_server() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture(scope="session")
def _aws_server(_slack_server: SlackServer) -> Iterator[EmbeddedAws]:
    """Embedded AWS, and the environment that both functions are configured with."""
    with EmbeddedAws() as aws, pytest.MonkeyPatch.context() as patch:
        wanted = aws.environ | {
            "SLACK_SIGNING_SECRET": SIGNING_SECRET,
            "SLACK_BOT_TOKEN": Workspace().token,
            "SLACK_API_URL": _slack_server.url,
            "MODEL_DIR": str(ROOT / "model"),
        }
        for name in os.environ.keys() - wanted.keys():
            patch.delenv(name)
        for name, value in wanted.items():
            patch.setenv(name, value)
        yield aws


@pytest.fixture
def aws(_aws_server: EmbeddedAws) -> Iterator[EmbeddedAws]:
    """Queues and a table, all new and empty, under the same addresses; no secrets."""
    # A queue may be purged only once a minute, here as there: everything is made again instead.
    _aws_server.clear()
    _aws_server.create()
    yield _aws_server
    # All servers of a process share one memory: another module's would find these names taken.
    _aws_server.clear()


@pytest.fixture
def end_claims(aws: EmbeddedAws) -> Callable[[], None]:
    """Let the invocations be over that hold a claim in the ledger."""

    def end() -> None:
        dynamodb = aws.client("dynamodb")
        for row in dynamodb.scan(TableName=aws.table)["Items"]:
            if row["status"]["S"] == "INPROGRESS":
                dynamodb.put_item(TableName=aws.table, Item=row | {"in_progress_expiration": {"N": "0"}})

    return end


@pytest.fixture
def slack(_slack_server: SlackServer) -> SlackServer:
    """A local Slack with a workspace of its own, no calls recorded and nothing going wrong."""
    _slack_server.workspace = Workspace.example()
    _slack_server.api = WebApi(_slack_server.workspace)
    _slack_server.calls.clear()
    _slack_server.faults.clear()
    return _slack_server


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    """The embedded model."""
    return Classifier(ROOT / "model")


@pytest.fixture
def receiver(aws: EmbeddedAws) -> ModuleType:
    return importlib.import_module("toxicity_bot.receiver")


@pytest.fixture
def worker(aws: EmbeddedAws, slack: SlackServer) -> ModuleType:
    return importlib.import_module("toxicity_bot.worker")


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Return what was counted and logged since the last call; the logger keeps the stdout that it was imported with."""
    log = io.StringIO()
    monkeypatch.setattr(importlib.import_module("toxicity_bot.observability").logger.registered_handler, "stream", log)

    def since_last_call() -> str:
        lines = capsys.readouterr().out + log.getvalue()
        log.seek(log.truncate(0))
        return lines

    return since_last_call
