"""A bot in this process for each test, and a watch over all tests: nothing leaks, nobody else is called.

A test that leaks fails at its end. Processes are watched by their logs: see `test_processes.py`.
"""

from __future__ import annotations

import logging
import threading
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from local.gateway import Gateway
from local.turns import Turns
from local.web_api import WebApi
from tests.failures.bot import Bot, workspace
from tests.failures.record import Record, note_hosts
from toxicity_bot.observability import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType
    from wsgiref.types import StartResponse, WSGIEnvironment

    from local.aws import EmbeddedAws
    from local.slack_server import SlackServer


@pytest.fixture(scope="session")
def _records() -> Iterator[list[Record]]:
    """The record of the test at hand, if any; what an audit hook may be told, since no hook can be removed."""
    records: list[Record] = []
    note_hosts(records)
    yield records
    records.clear()


@pytest.fixture(autouse=True)
def record(_records: list[Record], capsys: pytest.CaptureFixture[str]) -> Iterator[Record]:
    """All that is written, sent and called during a test, with every logger at DEBUG; it fails a test that leaks."""
    record = Record(lambda: "".join(capsys.readouterr()))
    handler = logging.StreamHandler(record.written)
    handler.addFilter(lambda line: not line.name.startswith("moto"))  # which is AWS here
    answered = Turns.__call__

    def noted(turns: Turns, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        record.note_request(environ)
        return answered(turns, environ, start_response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Turns, "__call__", noted)
        patch.setattr(logger.registered_handler, "stream", record.written)
        patch.setattr(logging.root, "level", logging.DEBUG)
        logging.root.addHandler(handler)
        _records.append(record)
        yield record
        _records.remove(record)
        logging.root.removeHandler(handler)
    assert record.leaks() == [], "nothing that people write, no name and no secret may leave Slack"
    assert "Traceback" not in record.printed(), f"no handler may raise:\n{record.printed()}"


@pytest.fixture
def slack(_slack_server: SlackServer, slack: SlackServer) -> SlackServer:
    """The local Slack, its workspace full of names that no log may show."""
    slack.workspace = workspace()
    slack.api = WebApi(slack.workspace)
    return slack


@pytest.fixture
def bot(
    receiver: ModuleType,
    worker: ModuleType,
    aws: EmbeddedAws,
    slack: SlackServer,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bot]:
    """The bot at rest, its queue and its ledger empty."""

    class Front(Gateway):
        """The HTTP API in front of this process's receiver."""

    Front.receiver = receiver
    worker.judge_for.cache_clear()
    record.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield Bot(receiver, worker, aws, slack, record, monkeypatch, f"http://127.0.0.1:{server.server_port}/slack")
        server.shutdown()
        thread.join()
    worker.judge_for.cache_clear()
