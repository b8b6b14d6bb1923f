"""The whole path in real processes: signed HTTP request, receiver, SQS, worker, slack_sdk, local Slack, ledger."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from local.bot import LocalBot
from local.events import Deliveries, Delivery, event_callback, signed, url_verification
from local.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

EMOJI = "biohazard_sign"
INSULT = "You are a stupid idiot and everybody hates you."


@pytest.fixture(scope="module")
def bot() -> Iterator[LocalBot]:
    with LocalBot(Workspace.example()) as bot:
        yield bot


def react(bot: LocalBot, channel: str, ts: str, user: str = "U0GRACE", emoji: str = EMOJI) -> list[Delivery]:
    event = bot.workspace.react(channel, ts, user, emoji)
    return Deliveries(bot.request_url, bot.workspace.signing_secret, delays=()).send(
        event_callback(event, bot.workspace.identity)
    )


def verdicts(bot: LocalBot, channel: str = "C0GENERAL") -> dict[str, list[dict[str, Any]]]:
    """Return the bot's marked posts, by the ts of the message that each is about."""
    found: dict[str, list[dict[str, Any]]] = {}
    for message in bot.workspace.conversation(channel):
        if message.get("metadata", {}).get("event_type") == "toxicity_verdict":
            _, _, ts, _ = message["metadata"]["event_payload"]["key"].split("/")
            found.setdefault(ts, []).append(message)
    return found


def outcome_of(bot: LocalBot, ts: str, channel: str = "C0GENERAL") -> list[str]:
    bot.wait_until_idle()
    return [post["metadata"]["event_payload"]["outcome"] for post in verdicts(bot, channel).get(ts, [])]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (INSULT, "toxic"),
        ("The nightly build is green again, thanks for the fix.", "fine"),
        (":tada: <https://example.com>", "cannot_judge"),
        ("Ich komme heute leider etwas sp\u00e4ter ins B\u00fcro.", "cannot_judge"),
    ],
)
def test_a_message_gets_its_verdict_in_its_thread(bot: LocalBot, text: str, outcome: str) -> None:
    message = bot.workspace.post("C0GENERAL", "U0ADA", text)
    assert react(bot, "C0GENERAL", message["ts"])[-1].status == 200
    assert outcome_of(bot, message["ts"]) == [outcome]
    (post,) = verdicts(bot)[message["ts"]]
    assert post["thread_ts"] == message["ts"]


def test_a_thread_reply_is_judged_itself_and_answered_in_its_parents_thread(bot: LocalBot) -> None:
    parent = bot.workspace.post("C0GENERAL", "U0ADA", "Good morning, everybody.")
    reply = bot.workspace.post("C0GENERAL", "U0GRACE", INSULT, thread_ts=parent["ts"])
    react(bot, "C0GENERAL", reply["ts"])
    assert outcome_of(bot, reply["ts"]) == ["toxic"]
    assert verdicts(bot)[reply["ts"]][0]["thread_ts"] == parent["ts"]
    assert outcome_of(bot, parent["ts"]) == []


def test_words_only_in_blocks_are_judged(bot: LocalBot) -> None:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": INSULT}}
    message = bot.workspace.post("C0GENERAL", "U0DEPLOYBOT", "", blocks=[block])
    react(bot, "C0GENERAL", message["ts"])
    assert outcome_of(bot, message["ts"]) == ["toxic"]


def test_two_people_and_slacks_retries_make_one_verdict(bot: LocalBot) -> None:
    message = bot.workspace.post("C0GENERAL", "U0ADA", INSULT)
    events = [bot.workspace.react("C0GENERAL", message["ts"], user, EMOJI) for user in ("U0ADA", "U0GRACE")]
    slack = Deliveries(bot.request_url, bot.workspace.signing_secret, delays=())
    for event in events * 3:
        slack.send(event_callback(event, bot.workspace.identity))
    assert outcome_of(bot, message["ts"]) == ["toxic"]


def test_an_edited_message_gets_a_verdict_for_its_new_text(bot: LocalBot) -> None:
    message = bot.workspace.post("C0GENERAL", "U0ADA", INSULT)
    react(bot, "C0GENERAL", message["ts"])
    assert outcome_of(bot, message["ts"]) == ["toxic"]
    bot.workspace.edit("C0GENERAL", message["ts"], "You did well, thank you.")
    react(bot, "C0GENERAL", message["ts"], user="U0ADA")
    assert outcome_of(bot, message["ts"]) == ["toxic", "fine"]


def test_a_deleted_message_ends_quietly_and_its_neighbour_is_not_judged(bot: LocalBot) -> None:
    earlier = bot.workspace.post("C0GENERAL", "U0ADA", INSULT)
    message = bot.workspace.post("C0GENERAL", "U0ADA", INSULT)
    event = bot.workspace.react("C0GENERAL", message["ts"], "U0GRACE", EMOJI)
    bot.workspace.delete("C0GENERAL", message["ts"])
    slack = Deliveries(bot.request_url, bot.workspace.signing_secret, delays=())
    slack.send(event_callback(event, bot.workspace.identity))
    assert outcome_of(bot, message["ts"]) == []
    assert outcome_of(bot, earlier["ts"]) == []


def test_a_message_longer_than_the_model_reads_is_read_to_its_end(bot: LocalBot) -> None:
    text = "The release notes list every change that was made in this version. " * 90 + INSULT
    message = bot.workspace.post("C0GENERAL", "U0ADA", text)
    react(bot, "C0GENERAL", message["ts"])
    assert outcome_of(bot, message["ts"]) == ["toxic"]
    assert "overlapping parts" in verdicts(bot)[message["ts"]][0]["text"]


def test_a_channel_without_the_bot_gets_a_hint_to_the_person_and_no_verdict(bot: LocalBot) -> None:
    message = bot.workspace.post("C0RANDOM", "U0ADA", INSULT)
    react(bot, "C0RANDOM", message["ts"])
    assert outcome_of(bot, message["ts"], "C0RANDOM") == []
    hints = [post["text"] for post in bot.workspace.conversation(bot.workspace.open_im("U0GRACE"))]
    assert len(hints) == 1
    assert "/invite" in hints[0]


def test_another_emoji_changes_nothing(bot: LocalBot) -> None:
    message = bot.workspace.post("C0GENERAL", "U0ADA", INSULT)
    assert react(bot, "C0GENERAL", message["ts"], emoji="tada")[-1].status == 200
    assert outcome_of(bot, message["ts"]) == []


def test_the_request_url_is_verified_as_slack_does_it(bot: LocalBot) -> None:
    payload = url_verification(bot.workspace.identity, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")
    (delivery,) = Deliveries(bot.request_url, bot.workspace.signing_secret, delays=()).send(payload)
    assert (delivery.status, json.loads(delivery.body)) == (200, {"challenge": payload["challenge"]})


@pytest.mark.parametrize(
    ("body", "secret", "age", "status"),
    [
        (b"{}", "another-secret", 0, 401),
        (b"{}", "local-signing-secret", 301, 401),
        (b"[]", "local-signing-secret", 0, 400),
        (b"\xff\xfe", "local-signing-secret", 0, 400),
        (b"[" * 100_000, "local-signing-secret", 0, 400),
        (b"x" * (256 * 1024 + 1), "local-signing-secret", 0, 413),
    ],
)
def test_a_bad_request_gets_its_status_and_one_generic_sentence(
    bot: LocalBot, body: bytes, secret: str, age: int, status: int
) -> None:
    now = round(time.time()) - age
    request = urllib.request.Request(bot.request_url, data=body, headers=signed(body, secret, now), method="POST")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=5)
    with refusal.value as answer:
        assert (answer.code, answer.read()) == (status, b"This request was refused.")


def test_neither_logs_nor_queue_nor_ledger_hold_a_message(bot: LocalBot) -> None:
    canary = "quetzalcoatlus"
    message = bot.workspace.post("C0GENERAL", "U0ADA", f"You stupid {canary}, you idiot.")
    react(bot, "C0GENERAL", message["ts"])
    assert len(outcome_of(bot, message["ts"])) == 1
    rows = bot.aws.client("dynamodb").scan(TableName=bot.aws.table)["Items"]
    logs = "".join(log.read_text() for log in bot.logs.iterdir())
    assert len(rows) > 0
    assert "JobEnded" in logs
    for place, text in {"ledger": json.dumps(rows), "logs": logs}.items():
        for secret in (canary, bot.workspace.token, bot.workspace.signing_secret):
            assert secret not in text, f"{secret!r} stands in the {place}"


def test_a_job_waits_for_a_worker_that_is_away(bot: LocalBot) -> None:
    bot.worker.stop()
    message = bot.workspace.post("C0GENERAL", "U0ADA", INSULT)
    assert react(bot, "C0GENERAL", message["ts"])[-1].status == 200
    bot.restart_worker()
    assert outcome_of(bot, message["ts"]) == ["toxic"]
