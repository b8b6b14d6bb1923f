"""Findings about a secret in Secrets Manager; none shows its content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.doctor.conftest import OK, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws import EmbeddedAws
    from local.slack_server import SlackServer
    from tests.doctor.conftest import Examine, Report

PLACEHOLDERS = {"signing_secrets": ["replace-me"], "bot_token": "replace-me"}


@pytest.fixture
def examine_with(aws: EmbeddedAws, examine: Examine) -> Callable[..., Report]:
    """Keep a value in Secrets Manager, and examine a bot that reads it there."""

    def call(value: Any, *arguments: str, **variables: str) -> Report:
        aws.client("secretsmanager").create_secret(Name="test/slack", SecretString=json.dumps(value))
        return examine(*arguments, SLACK_SECRET_ID="test/slack", **variables)

    return call


def test_a_secret_in_secrets_manager_is_read(examine_with: Callable[..., Report], slack: SlackServer) -> None:
    value = {"signing_secrets": ["canary-1", "canary-2"], "bot_token": slack.workspace.token}
    report = examine_with(value, SLACK_SIGNING_SECRET="", SLACK_BOT_TOKEN="")
    assert report.the("secret")["sentence"] == "2 signing secrets and a bot's token"
    assert report.mark("slack") == "ok"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (PLACEHOLDERS, "placeholder still"),
        ({"signing_secrets": ["canary"], "bot_token": "replace-me"}, "placeholder still"),
        ({"signing_secrets": ["canary"], "bot_token": "xoxp-canary"}, "not a bot's"),
        ({"signing_secrets": ["canary"], "bot_token": "xoxb-canary\n"}, "line ends around what was pasted: token"),
        ({"signing_secret": "canary", "bot_token": "xoxb-canary"}, "names a secret that is not"),
        ("xoxb-canary", "names a secret that is not"),
    ],
)
def test_a_secret_that_cannot_be_used_is_found_and_hides_nothing_else(
    examine_with: Callable[..., Report], value: Any, words: str
) -> None:
    examine_with(value).expect({"secret": ("wrong", words, "make secret"), "queue": OK, "ledger": OK, "clock": OK})


def test_slack_gets_no_placeholder_as_a_token(examine_with: Callable[..., Report], request_url: str) -> None:
    report = examine_with(PLACEHOLDERS, "--request-url", request_url)
    report.expect({"slack": UNKNOWN, "scopes": UNKNOWN, "request url": UNKNOWN})


def test_a_missing_secret_is_found_and_its_id_not_shown(examine: Examine) -> None:
    report = examine(SLACK_SECRET_ID="xoxb-canary-put-into-the-wrong-variable")
    report.expect({"secret": ("wrong", "does not exist")})
