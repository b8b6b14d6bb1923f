"""Findings about the secret in Secrets Manager, and `make secret`. Neither may print the secret."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from doctor import secret
from local.aws import EmbeddedAws
from local.slack_server import SlackServer
from tests import run_module
from tests.doctor.conftest import OK, PLACEHOLDERS, UNKNOWN, Examine, Report
from tests.doctor.deployment import SECRET_ID, STACK, Deployment, stack_template
from toxicity_bot.api_keys import hashed, keys_in
from toxicity_bot.credentials import Credentials
from toxicity_bot.errors import SettingError
from toxicity_bot.settings import Settings

Store = Callable[..., tuple[int, dict[str, Any], str]]

OLD = {"signing_secrets": ["a" * 32], "bot_token": "xoxb-old"}
TWO = {"signing_secrets": ["a" * 32, "b" * 32]}
GRID = {"bot_tokens": {"T1": "xoxb-1"}}
NEW_SECRET, NEW_TOKEN = "0123456789abcdef0123456789abcdef", "xoxb-new"


@pytest.fixture
def examine_with(aws: EmbeddedAws, examine: Examine) -> Callable[..., Report]:
    """Store a value in Secrets Manager and examine a bot that reads it from there."""

    def call(value: Any, *arguments: str, **variables: str) -> Report:
        aws.client("secretsmanager").create_secret(Name="test/slack", SecretString=json.dumps(value))
        return examine(*arguments, SLACK_SECRET_ID="test/slack", **variables)

    return call


def test_a_secret_in_secrets_manager_is_read(examine_with: Callable[..., Report], slack: SlackServer) -> None:
    value = {"signing_secrets": ["canary-1", "canary-2"], "bot_token": slack.workspace.token}
    report = examine_with(value, SLACK_SIGNING_SECRET="", SLACK_BOT_TOKEN="")
    report.expect({"secret": ("ok", "ok: 2 signing secrets and a bot token -> "), "slack": OK})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (PLACEHOLDERS, "still holds a placeholder"),
        ({"signing_secrets": ["canary"], "bot_token": "replace-me"}, "still holds a placeholder"),
        ({"signing_secrets": ["canary"], "bot_token": "xoxp-canary"}, "not a bot token"),
        ({"signing_secrets": ["canary"], "bot_token": "xoxb-canary\n"}, "line breaks around the pasted value: token"),
        ({"signing_secret": "canary", "bot_token": "xoxb-canary"}, "names a secret that is not"),
        ("xoxb-canary", "names a secret that is not"),
    ],
)
def test_an_unusable_secret_is_found_and_the_other_checks_still_run(
    examine_with: Callable[..., Report], value: Any, words: str
) -> None:
    examine_with(value).expect({"secret": ("wrong", words, "make secret"), "queue": OK, "ledger": OK, "clock": OK})


def test_a_placeholder_token_is_not_sent_to_slack(examine_with: Callable[..., Report], request_url: str) -> None:
    report = examine_with(PLACEHOLDERS, "--request-url", request_url)
    report.expect({"slack": UNKNOWN, "scopes": UNKNOWN, "request url": UNKNOWN})


@pytest.fixture
def store(aws: EmbeddedAws, capsys: pytest.CaptureFixture[str]) -> Store:
    """Deploy with a secret and call the program. Return its exit code, the stored secret and the output."""

    def run(present: dict[str, Any], *answers: str, stack: str = STACK) -> tuple[int, dict[str, Any], str]:
        Deployment(aws, stack_template({}, "https://example.com/slack/events"), present)
        waiting = iter(answers)
        code = secret.store(stack, partial(secret.with_credentials, ask=lambda prompt: next(waiting)))
        stored = aws.client("secretsmanager").get_secret_value(SecretId=SECRET_ID)["SecretString"]
        return code, json.loads(stored), "".join(capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("present", "answers", "stored"),
    [
        (PLACEHOLDERS, (f" {NEW_SECRET}\n", NEW_TOKEN), {"signing_secrets": [NEW_SECRET], "bot_token": NEW_TOKEN}),
        (OLD | TWO, (NEW_SECRET, ""), OLD | {"signing_secrets": [NEW_SECRET, "a" * 32]}),
        (OLD | GRID, ("a" * 32, NEW_TOKEN), OLD | GRID | {"bot_token": NEW_TOKEN}),
        *(
            (OLD | {"signing_secrets": malformed}, (NEW_SECRET, ""), OLD | {"signing_secrets": [NEW_SECRET]})
            for malformed in ("deadbeef", None, ["", None, 7])
        ),
    ],
)
def test_new_values_are_stored_and_the_bot_can_read_them(
    store: Store, present: dict[str, Any], answers: tuple[str, str], stored: dict[str, Any]
) -> None:
    code, kept, shown = store(present, *answers)
    assert (code, kept) == (0, stored)
    credentials = Credentials(Settings.from_environ({"SLACK_SECRET_ID": SECRET_ID}))
    assert credentials.signing_secrets == tuple(stored["signing_secrets"])
    assert credentials.bot_token == stored["bot_token"]
    assert not any(answer.strip() in shown for answer in answers if answer)


@pytest.mark.parametrize(
    ("present", "answers"),
    [
        (PLACEHOLDERS, (NEW_SECRET, "")),
        (PLACEHOLDERS, ("", NEW_TOKEN)),
        (OLD, ("too short", NEW_TOKEN)),
        (OLD, (NEW_SECRET, "xoxp-a-user's")),
        (OLD | {"bot_token": None}, (NEW_SECRET, "")),
        (OLD | {"bot_tokens": ["xoxb-2"]}, (NEW_SECRET, NEW_TOKEN)),
    ],
)
def test_invalid_input_changes_nothing(store: Store, present: dict[str, Any], answers: tuple[str, str]) -> None:
    code, stored, shown = store(present, *answers)
    assert (code, stored) == (1, present)
    assert "Nothing was stored" in shown
    assert not any(answer in shown for answer in answers if answer)


def test_without_the_stack_nothing_changes(store: Store) -> None:
    code, stored, shown = store(OLD, NEW_SECRET, NEW_TOKEN, stack="another")
    assert (code, stored) == (1, OLD)
    assert "another" in shown


@pytest.mark.parametrize("change", [secret.with_key, secret.without_key])
def test_malformed_api_keys_are_not_changed(change: Callable[..., object]) -> None:
    with pytest.raises(SettingError, match="api_keys"):
        change(OLD | {"api_keys": ["coral"]}, "coral")


def test_a_key_cannot_be_created_and_revoked_at_once() -> None:
    refused = run_module("doctor.secret", "--stack", STACK, "--new-key", "coral2", "--revoke-key", "coral")
    assert (refused.returncode, refused.stdout) == (2, "")


def test_api_keys_are_created_and_revoked_and_only_their_hashes_are_stored(
    aws: EmbeddedAws, capsys: pytest.CaptureFixture[str]
) -> None:
    def stored() -> str:
        return str(aws.client("secretsmanager").get_secret_value(SecretId=SECRET_ID)["SecretString"])

    def change(of: Callable[..., tuple[secret.Secrets, str]], name: str) -> int:
        return secret.store(STACK, partial(of, name=name))

    Deployment(aws, stack_template({}, "https://example.com/slack/events"), PLACEHOLDERS)
    assert [change(secret.with_key, name) for name in ("coral", "forum")] == [0, 0]
    coral, _, forum, _ = capsys.readouterr().out.splitlines()
    assert keys_in(stored()) == {"coral": hashed(coral), "forum": hashed(forum)}
    assert coral not in stored()
    assert change(secret.with_key, "coral") == 1
    assert change(secret.without_key, "coral") == 0
    assert change(secret.without_key, "coral") == 1
    assert "Keys: forum" in capsys.readouterr().err
    assert json.loads(stored()) == PLACEHOLDERS | {"api_keys": {"forum": hashed(forum)}}
