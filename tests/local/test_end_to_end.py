"""The full path in real processes: signed HTTP request, receiver, SQS, worker, slack_sdk, local Slack, ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.bot import LocalBot
from local.events import Deliveries, event_callback
from local.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

INSULT = "You are a stupid idiot and everybody hates you."


@pytest.fixture(scope="module")
def bot() -> Iterator[LocalBot]:
    with LocalBot(Workspace.example()) as bot:
        yield bot


def test_two_reactions_and_slacks_retries_make_one_verdict_in_the_thread(bot: LocalBot) -> None:
    message = bot.workspace.post("C0GENERAL", "U0ADA", INSULT)
    slack = Deliveries(bot.request_url, bot.workspace.signing_secret, delays=())
    bot.worker.stop()  # the jobs wait until a worker runs
    for user in ("U0ADA", "U0GRACE"):
        event = bot.workspace.react("C0GENERAL", message["ts"], user, "biohazard_sign")
        for _ in range(2):
            assert slack.send(event_callback(event, bot.workspace.identity))[-1].status == 200
    bot.restart_worker()
    bot.wait_until_idle()
    _, *verdicts = bot.workspace.thread("C0GENERAL", message["ts"])
    assert [verdict["metadata"]["event_payload"]["outcome"] for verdict in verdicts] == ["toxic"]


@pytest.mark.failure(100, 102)
def test_a_request_made_while_no_worker_runs_is_answered_by_the_next_one(bot: LocalBot) -> None:
    before = len(bot.workspace.ephemerals)
    bot.worker.kill()
    slack = Deliveries(bot.request_url, bot.workspace.signing_secret, timeout=30)
    assert slack.ask(bot.slack.slash_command(INSULT, "C0GENERAL", "U0GRACE")).status == 200
    assert len(bot.workspace.ephemerals) == before
    bot.restart_worker()
    (answer,) = bot.wait_for_private(before, timeout=60)
    assert (answer["user"], "Likely toxic" in answer["text"]) == ("U0GRACE", True)
