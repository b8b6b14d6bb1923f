"""Fixtures for the doctor's tests: a call of the doctor, and a receiver to examine."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import boto3
import pytest

from doctor.__main__ import main
from local.aws import EmbeddedAws
from local.bot import Process
from local.slack_server import SlackServer
from toxicity_bot.credentials import PLACEHOLDER

SIGNING_SECRET = "local-signing-secret"
PLACEHOLDERS = {"signing_secrets": [PLACEHOLDER], "bot_token": PLACEHOLDER}
OK, UNKNOWN = ("ok",), ("unknown",)
Expected = Mapping[str, Sequence[str]]
"""By subject: the mark of its finding, and words that the finding must say."""


class Report:
    """The output of one call of the doctor."""

    def __init__(self, code: int, output: str) -> None:
        answer = json.loads(output)
        self.code = code
        self.ok: bool = answer["ok"]
        self.findings: list[dict[str, str]] = answer["findings"]
        self.subjects = [finding["subject"] for finding in self.findings]

    def of(self, subject: str) -> list[str]:
        """Return the sentences of the findings about a subject."""
        return [finding["sentence"] for finding in self.findings if finding["subject"] == subject]

    def told(self, subject: str) -> str:
        """Return the mark, the sentence and the remedy of the only finding about a subject."""
        found = [one for one in self.findings if one["subject"] == subject]
        assert len(found) == 1, f"expected one finding about {subject}, got {found} of {self.findings}"
        return "{mark}: {sentence} -> {remedy}".format_map(found[0])

    def expect(self, expected: Expected) -> None:
        """Fail unless each of these subjects has one finding with the expected mark and words."""
        for subject, (mark, *words) in expected.items():
            told = self.told(subject)
            assert told.startswith(f"{mark}: "), told
            assert [word for word in words if word not in told] == [], told

    def marked(self, mark: str) -> set[str]:
        return {finding["subject"] for finding in self.findings if finding["mark"] == mark}


class Examine:
    """Calls the doctor with changed environment variables and checks that its output contains no secrets."""

    def __init__(self, shown: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, secrets: set[str]) -> None:
        self._shown, self._patch, self._secrets = shown, patch, secrets
        self.seconds_ahead = 0.0
        """What the clock of the machine that it runs on is off by."""

    def __call__(self, *arguments: str, **variables: str) -> Report:
        for name, value in variables.items():
            self._patch.setenv(name, value)
        code = main([*arguments, "--format", "json"], lambda: time.time() + self.seconds_ahead)
        output, errors = self._shown.readouterr()
        assert [secret for secret in self._secrets if secret in output + errors] == []
        return Report(code, output)


@pytest.fixture(autouse=True)
def _nobody_signed_in_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture(scope="session")
def request_url(_aws_server: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The receiver in a separate process, behind a real HTTP endpoint."""
    receiver = Process(("local.functions", "receiver"), os.environ, tmp_path_factory.mktemp("receiver") / "log")
    yield f"http://127.0.0.1:{receiver.wait_until_ready()}/slack/events"
    receiver.stop()


@pytest.fixture
def examine(
    aws: EmbeddedAws,
    slack: SlackServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Examine:
    """The model directory does not exist by default, which saves loading the model. Tests of the model set its path."""
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "no-model"))
    return Examine(capsys, monkeypatch, {slack.workspace.token, SIGNING_SECRET, "canary"})
