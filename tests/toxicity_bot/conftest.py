"""Fixtures: the bot in this process, and a check of every Slack test for leaks and calls to other hosts."""

import logging
import socket
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from local.aws import EmbeddedAws, OneAtATime
from local.bot import address
from local.functions import InvokeApi, LocalContext
from local.slack_server import SlackServer
from local.socket_mode.aws import SqliteTable, answer_locally
from local.socket_mode.file import SqliteFile
from local.web_api import WebApi
from tests.serving import running
from tests.toxicity_bot.bot import Bot, workspace
from tests.toxicity_bot.record import Record, note_hosts
from toxicity_bot import invocation
from toxicity_bot.gateway import Gateway
from toxicity_bot.ledger import Ledger
from toxicity_bot.observability import logger


@pytest.fixture(scope="session")
def _records() -> Iterator[list[Record]]:
    """The record of the running test, if any. An audit hook cannot be removed, so it reads this list instead."""
    records: list[Record] = []
    note_hosts(records)
    yield records
    records.clear()


@pytest.fixture
def record(
    _records: list[Record], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[Record]:
    """Everything printed, sent to AWS and called during a test, with all loggers at DEBUG. A leak fails the test."""
    record = Record(lambda: "".join(capsys.readouterr()))
    handler = logging.StreamHandler(record.written)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.CRITICAL, logger="moto")  # moto's own logs are not the bot's
    answered = OneAtATime.__call__

    def noted(turns: OneAtATime, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        record.note_request(environ)
        return answered(turns, environ, start_response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OneAtATime, "__call__", noted)
        patch.setattr(logger.registered_handler, "stream", record.written)
        logging.root.addHandler(handler)
        _records.append(record)
        yield record
        _records.remove(record)
        logging.root.removeHandler(handler)
    assert record.leaks() == [], "texts, names and secrets may only reach Slack"
    assert "Traceback" not in record.printed(), f"a handler must not raise:\n{record.printed()}"


@pytest.fixture
def slack(record: Record, slack: SlackServer) -> SlackServer:
    """The local Slack, checked for leaks. Its workspace contains names that must not be logged."""
    slack.workspace = workspace()
    slack.api = WebApi(slack.workspace)
    return slack


@pytest.fixture(scope="session")
def _gateway() -> Iterator[str]:
    """The HTTP API in front of the receiver in this process. Yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}/slack"


@pytest.fixture(scope="session")
def _invoke_api(_aws_server: EmbeddedAws) -> Iterator[InvokeApi]:
    """Lambda's API, which invokes the worker in this process. The receiver waits for it even on a slow machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_LAMBDA", address(listener))
        patch.setattr(invocation, "READ_SECONDS", 60)
        invocation._client()  # reads both
        api = InvokeApi(listener, lambda *_: {}, 0, nullcontext())
        with running(api):
            yield api


@pytest.fixture
def bot(
    receiver: ModuleType,
    worker: ModuleType,
    aws: EmbeddedAws,
    slack: SlackServer,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
    _gateway: str,
    _invoke_api: InvokeApi,
) -> Iterator[Bot]:
    """Both functions with the local Slack, embedded AWS, an empty queue and an empty ledger."""
    monkeypatch.setattr(Gateway, "function", receiver, raising=False)
    monkeypatch.setattr(_invoke_api, "invoke", lambda event: worker.handler(event, LocalContext("worker")))
    worker.handlers_for.cache_clear()
    record.requests.clear()
    yield Bot(slack, aws, receiver, worker, record, monkeypatch, _gateway, _invoke_api)
    worker.handlers_for.cache_clear()


@pytest.fixture(scope="session")
def ledger(_aws_server: EmbeddedAws) -> Ledger:
    """The ledger on a table that is emptied before each test. A new ledger per test would need a new boto3 session."""
    return Ledger(_aws_server.table)


@pytest.fixture(params=["dynamodb", "sqlite"])
def any_ledger(request: pytest.FixtureRequest, ledger: Ledger, aws: EmbeddedAws, tmp_path: Path) -> Iterator[Ledger]:
    """The ledger in DynamoDB, and the ledger in a file as in Socket Mode."""
    if request.param == "dynamodb":
        yield ledger
        return
    file = SqliteFile(tmp_path / "bot.sqlite3")
    in_file = Ledger(aws.table)
    answer_locally(in_file.table.client, SqliteTable(file))
    yield in_file
    file.close()
