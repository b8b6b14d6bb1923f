"""`make secret` stores the input in the stack's secret without showing it; wrong input changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from doctor import secret
from tests.doctor.deployment import SECRET_ID, STACK, Deployment, stack_template
from toxicity_bot.credentials import Credentials
from toxicity_bot.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws import EmbeddedAws

PLACEHOLDER = {"signing_secrets": ["replace-me"], "bot_token": "replace-me"}
OLD = {"signing_secrets": ["a" * 32], "bot_token": "xoxb-old"}
NEW_SECRET, NEW_TOKEN = "0123456789abcdef0123456789abcdef", "xoxb-new"


def typed(*answers: str) -> Callable[[str], str]:
    waiting = iter(answers)
    return lambda prompt: next(waiting)


@pytest.fixture
def store(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Deploy with a secret, call the program, return its exit code, the secret now, and what was printed."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it would remember who signed in before

    def run(present: dict[str, Any], *answers: str, stack: str = STACK) -> tuple[int, dict[str, Any], str]:
        Deployment(aws, stack_template({}, "https://example.com/slack/events"), present)
        code = secret.store(stack, typed(*answers))
        stored = aws.client("secretsmanager").get_secret_value(SecretId=SECRET_ID)["SecretString"]
        return code, json.loads(stored), "".join(capsys.readouterr())

    return run


def test_the_first_time_placeholders_are_replaced_and_the_bot_can_read_them(store: Any) -> None:
    code, stored, shown = store(PLACEHOLDER, f" {NEW_SECRET}\n", NEW_TOKEN)
    assert (code, stored) == (0, {"signing_secrets": [NEW_SECRET], "bot_token": NEW_TOKEN})
    credentials = Credentials(Settings.from_environ({"SLACK_SECRET_ID": SECRET_ID}))
    assert (credentials.signing_secrets, credentials.bot_token) == ((NEW_SECRET,), NEW_TOKEN)
    assert NEW_SECRET not in shown
    assert NEW_TOKEN not in shown


def test_a_new_signing_secret_stands_beside_the_one_before_and_older_ones_go(store: Any) -> None:
    older = OLD | {"signing_secrets": ["a" * 32, "b" * 32]}
    _, stored, _ = store(older, NEW_SECRET, "")
    assert stored == {"signing_secrets": [NEW_SECRET, "a" * 32], "bot_token": "xoxb-old"}


def test_the_same_signing_secret_again_is_kept_once_and_other_fields_stay(store: Any) -> None:
    grid = OLD | {"bot_tokens": {"T1": "xoxb-1"}}
    _, stored, _ = store(grid, "a" * 32, NEW_TOKEN)
    assert stored == grid | {"bot_token": NEW_TOKEN}


@pytest.mark.parametrize(
    ("present", "answers"),
    [
        (PLACEHOLDER, (NEW_SECRET, "")),
        (PLACEHOLDER, ("", NEW_TOKEN)),
        (OLD, ("too short", NEW_TOKEN)),
        (OLD, (NEW_SECRET, "xoxp-a-user's")),
    ],
)
def test_what_cannot_be_right_changes_nothing(store: Any, present: dict[str, Any], answers: tuple[str, str]) -> None:
    code, stored, shown = store(present, *answers)
    assert (code, stored) == (1, present)
    assert "Nothing was stored" in shown
    assert not any(answer in shown for answer in answers if answer)


def test_another_name_is_told_from_a_stack(store: Any) -> None:
    code, stored, shown = store(OLD, NEW_SECRET, NEW_TOKEN, stack="another")
    assert (code, stored) == (1, OLD)
    assert "another" in shown
