"""The whole path in real processes: signed HTTP request, receiver, SQS, worker, slack_sdk, local Slack, ledger."""

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


def react(bot: LocalBot, ts: str, user: str) -> None:
    """Let a person react; the event is delivered twice, and the receiver accepts it each time."""
    slack = Deliveries(bot.request_url, bot.workspace.signing_secret, delays=())
    event = bot.workspace.react("C0GENERAL", ts, user, "biohazard_sign")
    for _ in range(2):
        assert slack.send(event_callback(event, bot.workspace.identity))[-1].status == 200


@pytest.mark.parametrize(("text", "outcome"), [(INSULT, "toxic"), (":tada: <https://example.com>", "cannot_judge")])
def test_two_people_and_slacks_retries_make_one_verdict_in_the_thread(bot: LocalBot, text: str, outcome: str) -> None:
    message = bot.workspace.post("C0GENERAL", "U0ADA", text)
    bot.worker.stop()  # the jobs wait until a worker runs
    for user in ("U0ADA", "U0GRACE"):
        react(bot, message["ts"], user)
    bot.restart_worker()
    bot.wait_until_idle()
    _, *verdicts = bot.workspace.thread("C0GENERAL", message["ts"])
    assert [verdict["metadata"]["event_payload"]["outcome"] for verdict in verdicts] == [outcome]


@pytest.mark.failure(100, 101)
@pytest.mark.parametrize("asked", ["shortcut", "help"])
def test_who_asks_is_answered_in_private(bot: LocalBot, asked: str) -> None:
    message = bot.workspace.post("C0RANDOM", "U0ADA", INSULT)
    if asked == "shortcut":
        payload = bot.slack.message_action("check_toxicity", "C0RANDOM", message["ts"], "U0GRACE")
    else:
        payload = bot.slack.slash_command("help", "C0RANDOM", "U0GRACE")
    before, posted = len(bot.workspace.ephemerals), len(bot.workspace.conversation("C0RANDOM"))
    assert Deliveries(bot.request_url, bot.workspace.signing_secret, timeout=30).ask(payload).status == 200
    (answer,) = bot.wait_for_private(before, timeout=60)
    assert answer["user"] == "U0GRACE"
    assert ("I keep no text" if asked == "help" else "Likely toxic") in answer["text"]
    assert len(bot.workspace.conversation("C0RANDOM")) == posted


@pytest.mark.failure(102)
def test_who_asks_while_no_worker_runs_is_answered_by_the_next_one(bot: LocalBot) -> None:
    before = len(bot.workspace.ephemerals)
    bot.worker.kill()
    slack = Deliveries(bot.request_url, bot.workspace.signing_secret, timeout=30)
    accepted = slack.ask(bot.slack.slash_command(INSULT, "C0GENERAL", "U0GRACE"))
    assert (accepted.status, accepted.failure) == (200, "")
    assert len(bot.workspace.ephemerals) == before
    bot.restart_worker()
    (answer,) = bot.wait_for_private(before, timeout=60)
    assert "Likely toxic" in answer["text"]
