"""Secrets that change while the bot works, and secrets for more than one workspace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from local.events import Deliveries
from toxicity_bot.credentials import SECONDS_BETWEEN_READS, Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.workspace import Message
    from tests.failures.bot import Bot

FIRST, SECOND = "first signing-secret", "second signing-secret"


class Clock:
    """Seconds that pass when a test says so, and while Slack waits to send again."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stored(bot: Bot, clock: Clock) -> Bot:
    """The bot with its secrets in Secrets Manager, each function with what it has read by itself."""
    bot.set(secret_id="bot/slack", signing_secrets=(), bot_token="")
    bot.store({"signing_secrets": [FIRST], "bot_token": bot.slack.workspace.token})
    for function in (bot.receiver, bot.worker):
        bot.patch.setattr(function, "credentials", Credentials(function.settings, clock))
    return bot


@pytest.fixture
def slack_sends(stored: Bot, clock: Clock) -> Callable[[str, Message], list[int]]:
    """Deliver a reaction as Slack does, retries included; return the statuses."""

    def send(secret: str, message: Message) -> list[int]:
        deliveries = Deliveries(stored.url, secret, timeout=30, wait=clock.pass_by, clock=time.time)
        return [delivery.status for delivery in deliveries.send(stored.event(message))]

    return send


def test_f44_a_signing_secret_rotated_in_good_order_refuses_nobody(
    stored: Bot, clock: Clock, slack_sends: Callable[[str, Message], list[int]]
) -> None:
    """Both secrets are stored before Slack signs with the second, and the first is removed when it does no more."""
    messages = [stored.say() for _ in range(4)]
    assert slack_sends(FIRST, messages[0]) == [200]
    stored.store({"signing_secrets": [SECOND, FIRST], "bot_token": stored.slack.workspace.token})
    clock.pass_by(SECONDS_BETWEEN_READS)
    assert slack_sends(FIRST, messages[1]) == [200]
    assert slack_sends(SECOND, messages[2]) == [200]
    stored.store({"signing_secrets": [SECOND], "bot_token": stored.slack.workspace.token})
    assert slack_sends(SECOND, messages[3]) == [200]
    stored.work()
    assert [stored.outcomes(message) for message in messages] == [["toxic"]] * 4


def test_f44_a_signing_secret_rotated_in_haste_loses_no_event(
    stored: Bot, slack_sends: Callable[[str, Message], list[int]]
) -> None:
    """The bot has just read the old secret, and Slack signs with the new one: one of its retries comes late enough."""
    before, after = stored.say(), stored.say()
    assert slack_sends(FIRST, before) == [200]
    stored.store({"signing_secrets": [SECOND], "bot_token": stored.slack.workspace.token})
    statuses = slack_sends(SECOND, after)
    assert (statuses[0], statuses[-1]) == (401, 200), statuses
    stored.work()
    assert [stored.outcomes(message) for message in (before, after)] == [["toxic"]] * 2


def test_f44_forgers_cannot_make_the_bot_read_its_secret_over_and_over(
    stored: Bot, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[float] = []
    read = Credentials._read

    def seen(credentials: Credentials) -> Any:
        reads.append(clock.now)
        return read(credentials)

    monkeypatch.setattr(Credentials, "_read", seen)
    event = stored.event(stored.say())
    for _ in range(20):
        assert stored.deliver(event, secret="a forger's signing-secret").status == 401
        clock.pass_by(10)
    assert len(reads) <= 1 + 200 / SECONDS_BETWEEN_READS, reads


def test_f44_a_token_rotated_while_jobs_wait_loses_none_of_them(stored: Bot, clock: Clock) -> None:
    first, second = stored.say(), stored.say()
    stored.deliver(stored.event(first), secret=FIRST)
    stored.work()
    stored.deliver(stored.event(second), secret=FIRST)
    token = stored.slack.workspace.rotate_token()
    stored.store({"signing_secrets": [FIRST], "bot_token": token})
    assert stored.work() == 0, "read a moment ago: the job waits"
    clock.pass_by(SECONDS_BETWEEN_READS)
    stored.wake()
    assert stored.work() == 1
    assert [stored.outcomes(message) for message in (first, second)] == [["toxic"]] * 2


def test_f43_a_revoked_token_ends_every_waiting_job_and_leaves_no_dead_letters(stored: Bot, clock: Clock) -> None:
    for _ in range(4):
        stored.deliver(stored.event(stored.say()), secret=FIRST)
    stored.slack.workspace.refuse_token("token_revoked")
    ended = 0
    for _ in range(9):
        ended += stored.work()
        clock.pass_by(10)
        stored.wake()
    assert (ended, stored.queued(), stored.dead()) == (4, [], [])
    assert ("JobEnded", "token_revoked") in stored.record.counted()


def test_f44_a_secret_store_that_fails_costs_time_and_no_event(stored: Bot, clock: Clock) -> None:
    message = stored.say()
    event = stored.event(message)
    stored.store({"signing_secrets": "not a list", "bot_token": None})
    refused = stored.deliver(event, secret=FIRST)
    assert (refused.status, refused.no_retry) == (503, False)
    stored.store({"signing_secrets": [FIRST], "bot_token": stored.slack.workspace.token})
    clock.pass_by(60)
    assert stored.deliver(event, secret=FIRST, retry_num=2).status == 200
    stored.work()
    assert stored.outcomes(message) == ["toxic"]


@pytest.mark.parametrize("installed_by", ["T0LOCAL", "E0GRID"])
def test_f45_on_a_grid_the_token_of_the_team_or_the_enterprise_is_used(installed_by: str, stored: Bot) -> None:
    tokens = {"bot_token": "xoxb-of-another-workspace", "bot_tokens": {installed_by: stored.slack.workspace.token}}
    stored.store({"signing_secrets": [FIRST]} | tokens)
    message = stored.say()
    event = stored.event(message)
    organisation = installed_by.startswith("E")
    (authorization,) = event["authorizations"]
    authorization |= {"enterprise_id": "E0GRID", "is_enterprise_install": organisation}
    authorization |= {"team_id": None if organisation else "T0LOCAL"}
    assert stored.deliver(event, secret=FIRST).status == 200
    assert stored.work() == 1
    assert stored.outcomes(message) == ["toxic"]


def test_f45_an_installation_without_a_token_of_its_own_is_served_with_the_one_for_all(stored: Bot) -> None:
    tokens = {"bot_token": stored.slack.workspace.token, "bot_tokens": {"T0ANOTHER": "xoxb-of-another-workspace"}}
    stored.store({"signing_secrets": [FIRST]} | tokens)
    message = stored.say()
    stored.deliver(stored.event(message), secret=FIRST)
    stored.work()
    assert stored.outcomes(message) == ["toxic"]
