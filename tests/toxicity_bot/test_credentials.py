import json
from collections.abc import Callable
from typing import Any

import pytest

from local.aws import EmbeddedAws
from tests import CLOSED
from tests.toxicity_bot.bot import store as write
from toxicity_bot.credentials import PLACEHOLDER, SECONDS_AFTER_FAILURE, SECONDS_BETWEEN_READS, Credentials
from toxicity_bot.errors import SecretStoreError, SettingError
from toxicity_bot.settings import Settings

ID = "bot/slack"


@pytest.fixture
def store(aws: EmbeddedAws) -> Callable[[Any], None]:
    """Write a value to the secret as JSON, or as it is if it is a string."""
    return lambda value: write(aws, value if isinstance(value, str) else json.dumps(value))


def stored(clock: Callable[[], float] = lambda: 1000.0) -> Credentials:
    return Credentials(Settings.from_environ({"SLACK_SECRET_ID": ID}), clock)


def test_secrets_in_the_environment_are_used_without_secrets_manager() -> None:
    environ = {"SLACK_SIGNING_SECRET": "new,old", "SLACK_BOT_TOKEN": "xoxb-1"}
    credentials = Credentials(Settings.from_environ(environ))
    assert (credentials.signing_secrets, credentials.bot_token) == (("new", "old"), "xoxb-1")
    assert credentials.refresh() is False


def test_the_secret_is_read_at_its_first_use_and_again_after_a_minute(store: Callable[[Any], None]) -> None:
    now = [1000.0]
    credentials = stored(lambda: now[0])
    store({"signing_secrets": ["new", "old"], "bot_token": "xoxb-1", "comment": "unknown fields are fine"})
    assert (credentials.signing_secrets, credentials.bot_token) == (("new", "old"), "xoxb-1")
    store({"signing_secrets": ["newer"], "bot_token": "xoxb-2"})
    assert (credentials.signing_secrets, credentials.bot_token) == (("new", "old"), "xoxb-1")

    now[0] += SECONDS_BETWEEN_READS - 1
    assert (credentials.refresh(), credentials.bot_token) == (False, "xoxb-1")
    now[0] += 1
    assert (credentials.refresh(), credentials.bot_token, credentials.signing_secrets) == (True, "xoxb-2", ("newer",))
    now[0] += SECONDS_BETWEEN_READS
    assert (credentials.refresh(), credentials.bot_token) == (False, "xoxb-2"), "the secret has not changed"
    now[0] += SECONDS_BETWEEN_READS
    store("{")
    with pytest.raises(SettingError):
        credentials.refresh()
    assert credentials.bot_token == "xoxb-2", "the old values stay in use if the secret is malformed"


@pytest.mark.parametrize(
    "value",
    [
        "canary is no JSON",
        "",
        "[" * 100_000,
        [],
        None,
        {},
        {"signing_secrets": ["canary"]},
        {"bot_token": "canary"},
        {"signing_secrets": "canary", "bot_token": "canary"},
        {"signing_secrets": [], "bot_token": "canary"},
        *({"signing_secrets": ["canary", other], "bot_token": "canary"} for other in ("", 1)),
        *({"signing_secrets": ["canary"], "bot_token": token} for token in (None, "")),
        *({"signing_secrets": ["canary"], "bot_token": "canary", "bot_tokens": tokens}
          for tokens in (["canary"], None, {"T0ONE": ""})),
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
def test_a_malformed_secret_is_refused_and_not_shown(value: Any, store: Callable[[Any], None]) -> None:
    store(value or "{}")  # the store refuses an empty value
    with pytest.raises(SettingError, match="SLACK_SECRET_ID") as refusal:
        _ = stored().signing_secrets
    assert '"signing_secrets": ["..."]' in str(refusal.value)
    assert "canary" not in f"{refusal.value} {refusal.value.__cause__} {refusal.value.__context__}"


@pytest.mark.parametrize("signing_secrets", [[PLACEHOLDER], ["real", PLACEHOLDER]])
def test_the_public_placeholder_is_refused(store: Callable[[Any], None], signing_secrets: list[str]) -> None:
    store({"signing_secrets": signing_secrets, "bot_token": "xoxb-1"})
    with pytest.raises(SettingError, match="make secret"):
        _ = stored().signing_secrets


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "EndpointConnectionError"])
def test_a_missing_secret_or_store_raises_the_code_of_aws(
    code: str, aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    if code == "EndpointConnectionError":
        monkeypatch.setenv("AWS_ENDPOINT_URL", CLOSED)
    with pytest.raises(SecretStoreError, match="SLACK_SECRET_ID") as failure:
        _ = stored().bot_token
    assert failure.value.code == code


def test_after_a_failure_the_store_is_not_read_for_two_seconds(store: Callable[[Any], None]) -> None:
    now = [1000.0]
    credentials = stored(lambda: now[0])
    store("{")
    with pytest.raises(SettingError):
        _ = credentials.bot_token
    store({"signing_secrets": ["a"], "bot_token": "xoxb-1"})
    with pytest.raises(SecretStoreError, match="a moment ago"):
        _ = credentials.bot_token
    now[0] += SECONDS_AFTER_FAILURE
    assert credentials.bot_token == "xoxb-1"
