"""Findings about a secret in Secrets Manager; none shows its content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws import EmbeddedAws
    from local.slack_server import SlackServer
    from tests.doctor.conftest import Examine

SECRET_ID = "test/slack"


@pytest.fixture
def secret(aws: EmbeddedAws) -> Callable[[Any], dict[str, str]]:
    """Keep a value in Secrets Manager; return the variables of a bot that reads it there."""

    def keep(value: Any) -> dict[str, str]:
        aws.client("secretsmanager").create_secret(Name=SECRET_ID, SecretString=json.dumps(value))
        return {"SLACK_SECRET_ID": SECRET_ID}

    return keep


def test_a_secret_in_secrets_manager_is_read(
    examine: Examine, secret: Callable[[Any], dict[str, str]], slack: SlackServer
) -> None:
    token = slack.workspace.token
    variables = secret({"signing_secrets": ["canary-1", "canary-2"], "bot_token": token})
    report = examine(**variables, SLACK_SIGNING_SECRET="", SLACK_BOT_TOKEN="")
    assert report.the("secret")["sentence"] == "2 signing secrets and a bot's token"
    assert report.mark("slack") == "ok"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"signing_secrets": ["replace-me"], "bot_token": "replace-me"}, "placeholder still"),
        ({"signing_secrets": ["canary"], "bot_token": "replace-me"}, "placeholder still"),
        ({"signing_secrets": ["canary"], "bot_token": "xoxp-canary"}, "not a bot's"),
        ({"signing_secrets": ["canary"], "bot_token": "xoxb-canary\n"}, "line ends around what was pasted: token"),
        ({"signing_secret": "canary", "bot_token": "xoxb-canary"}, "names a secret that is not"),
        ("xoxb-canary", "names a secret that is not"),
    ],
)
def test_a_secret_that_cannot_serve_is_told_with_the_command_that_fixes_it(
    examine: Examine, secret: Callable[[Any], dict[str, str]], value: Any, words: str
) -> None:
    report = examine(**secret(value))
    assert report.mark("secret") == "wrong"
    assert words in report.told("secret")
    assert "make secret" in report.the("secret")["remedy"]
    assert {"queue", "ledger", "clock"} <= report.subjects("ok"), "the rest does not need the secret"


def test_with_placeholders_slack_is_not_asked_who_the_bot_is(
    examine: Examine, secret: Callable[[Any], dict[str, str]], request_url: str
) -> None:
    variables = secret({"signing_secrets": ["replace-me"], "bot_token": "replace-me"})
    report = examine("--request-url", request_url, **variables)
    assert {"slack", "scopes", "request url"} <= report.subjects("unknown")


def test_a_missing_secret_is_told_without_its_id(examine: Examine) -> None:
    report = examine(SLACK_SECRET_ID="xoxb-canary-put-into-the-wrong-variable")
    assert report.mark("secret") == "wrong"
    assert "does not exist" in report.told("secret")
