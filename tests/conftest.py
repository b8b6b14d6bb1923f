"""Fixtures for all tests that run the bot: embedded AWS, a local Slack, the model and the two handlers.

Servers and the model start once per session. Each test gets an empty queue, an empty table and a new workspace.
"""

import functools
import importlib
import os
import signal
from collections.abc import Iterator
from types import ModuleType

import hypothesis
import pytest
from botocore.loaders import JSONFileLoader

from local.aws import EmbeddedAws
from local.bot import bot_environ
from local.slack_server import SlackServer
from local.web_api import WebApi
from local.workspace import Workspace
from tests import ROOT
from toxicity_bot.classifier import Classifier

# The time of an example depends on the machine's load. Speed tests measure time themselves.
hypothesis.settings.register_profile("no_deadline", deadline=None)
hypothesis.settings.load_profile("no_deadline")


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background job ignores Ctrl-C, and its child processes would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "failure(*numbers): the failures of tests/failures/catalogue.py that it covers")


@pytest.fixture(scope="session")
def _slack_server() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture(scope="session")
def _aws_server(_slack_server: SlackServer) -> Iterator[EmbeddedAws]:
    """Embedded AWS, and the environment variables that both functions read when they are imported."""
    with EmbeddedAws() as aws, pytest.MonkeyPatch.context() as patch:
        addresses = {"SLACK_API_URL": _slack_server.url, "MODEL_DIR": str(ROOT / "model"), "WORKER_FUNCTION": "worker"}
        wanted = bot_environ(aws, Workspace()) | addresses
        for name in os.environ.keys() - wanted.keys():
            patch.delenv(name)
        for name, value in wanted.items():
            patch.setenv(name, value)
        # Creating a boto3 client takes about 50 ms, and each test needs several. A new session, such as the bot's
        # code creates, reads AWS's description of each service again.
        patch.setattr(aws, "client", functools.cache(aws.client))
        described = functools.cache(JSONFileLoader().load_file)
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: described(path))
        aws.clear()
        yield aws


@pytest.fixture
def aws(_aws_server: EmbeddedAws) -> Iterator[EmbeddedAws]:
    """Empty queues and an empty table, always at the same addresses, and no secrets."""
    # SQS and moto allow one purge a minute, so everything is created again instead.
    _aws_server.create()
    yield _aws_server
    # All moto servers in a process share their state, so another module's server would find these names in use.
    _aws_server.clear()


@pytest.fixture
def slack(_slack_server: SlackServer) -> SlackServer:
    """A local Slack with a new workspace, no recorded calls and no faults."""
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
    """The worker's module, with an empty score cache."""
    worker = importlib.import_module("toxicity_bot.worker")
    worker.classifier.cache._results.clear()
    return worker
