"""No text, no name, no token and no secret where others may read it; every test here is watched, these are about it."""

from __future__ import annotations

import logging
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from local.faults import ErrorBody, HtmlError, Reset
from tests.failures.bot import GENERAL, INSULT, PRAISE, RANDOM
from tests.failures.record import CANARIES
from toxicity_bot.errors import SettingError
from toxicity_bot.observability import logger
from toxicity_bot.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.failures.bot import Bot
    from tests.failures.record import Record

CANARY = CANARIES["a message's text"]


def in_a_queue(bot: Bot) -> None:
    bot.put(f'{{"text": "{CANARY}"}}')


def in_a_row(bot: Bot) -> None:
    bot.aws.client("dynamodb").put_item(TableName=bot.aws.table, Item={"id": {"S": "1"}, "text": {"S": CANARY}})


def in_a_metric(_: Bot) -> None:
    print(f'{{"_aws": {{}}, "reason": "{CANARY}"}}')


def in_a_log_line(_: Bot) -> None:
    logger.warning("job postponed", extra={"why": CANARY})


def in_another_log_at_debug(_: Bot) -> None:
    logging.getLogger("a.library").debug("request: %s", CANARY)


def in_a_traceback(_: Bot) -> None:
    print(f"ValueError: {CANARY}", file=sys.stderr)


@pytest.mark.parametrize(
    "planted", [in_a_queue, in_a_row, in_a_metric, in_a_log_line, in_another_log_at_debug, in_a_traceback]
)
def test_f57_the_watch_finds_what_is_planted(planted: Callable[[Bot], None], bot: Bot) -> None:
    assert bot.record.leaks() == []
    planted(bot)
    (leak,) = bot.record.leaks()
    assert leak.startswith("a message's text stands in ")
    bot.record.clear()


def test_f57_the_watch_finds_what_a_process_writes(record: Record, tmp_path: Any) -> None:
    log = tmp_path / "worker.log"
    record.watch(log)
    log.write_text(f"Traceback\nKeyError: '{CANARY}'", encoding="utf-8")
    assert len(record.leaks()) == 1
    record.clear()


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
def test_f57_the_watch_knows_every_canary(canary: str, record: Record) -> None:
    print(canary)
    assert len(record.leaks()) == 1
    record.clear()


def test_f57_the_watch_finds_a_call_to_another_host(record: Record) -> None:
    with socket.socket() as caller:
        caller.setblocking(False)
        caller.connect_ex(("192.0.2.1", 9))  # an address that belongs to nobody: RFC 5737
    assert record.leaks() == ["192.0.2.1 was called"]
    record.clear()


def test_f57_the_texts_of_these_tests_hold_canaries_and_slack_alone_hears_them(bot: Bot) -> None:
    """Given a message, a name, a token and a secret that all hold one, when all goes well, then Slack has them all."""
    assert CANARY in INSULT
    assert CANARY in PRAISE
    assert CANARIES["a name"] in bot.slack.workspace.channel(GENERAL).name
    assert CANARIES["a token"] in bot.slack.workspace.token
    assert CANARIES["a signing secret"] in bot.slack.workspace.signing_secret
    assert bot.judge(bot.say()) == ["toxic"]
    assert CANARIES["a word of a message"] in bot.verdicts()[0]["text"]


@pytest.mark.parametrize(
    "fault",
    [HtmlError(502), Reset(), ErrorBody(f"a page that quotes {INSULT}"), ErrorBody(INSULT, 500)],
    ids=["html", "reset", "odd_error", "odd_500"],
)
@pytest.mark.parametrize("method", ["conversations.history", "chat.postMessage"])
def test_f57_what_slack_answers_is_not_repeated(method: str, fault: Any, bot: Bot) -> None:
    bot.slack.faults.add(method, fault)
    bot.react(bot.say())
    bot.work()
    assert bot.record.leaks() == []
    assert any(name in ("JobPostponed", "JobFailed") for name, _ in bot.record.counted())


def test_f57_a_mistake_of_our_own_is_told_by_its_class_and_place(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an error whose text quotes the message and the token, when it ends the job, then neither is told."""

    def fails(text: str) -> None:
        raise RuntimeError(f"{text} {bot.slack.workspace.token}")

    monkeypatch.setattr(bot.worker.classifier, "assess", fails)
    bot.react(bot.say())
    assert bot.work() == 0
    assert bot.record.leaks() == []
    (line,) = [line for line in bot.record.lines() if line.get("level") == "ERROR"]
    assert line["why"] == "RuntimeError"
    assert line["frames"][-1].endswith(" fails")


def test_f57_what_lies_in_the_dead_letter_queue_is_ids(bot: Bot) -> None:
    message = bot.say(channel=RANDOM)
    bot.slack.workspace.refuse_token("fatal_error")
    bot.react(message, channel=RANDOM)
    for _ in range(11):
        bot.work()
        bot.wake()
    (dead,) = bot.dead()
    assert message["ts"] in dead["Body"]
    assert not any(canary in dead["Body"] for canary in CANARIES.values())


def test_f57_a_setting_with_a_secret_in_it_hides_it(bot: Bot) -> None:
    print(bot.worker.settings, bot.receiver.settings, bot.worker.credentials)
    with pytest.raises(SettingError) as refused:
        Settings.from_environ({"SLACK_BOT_TOKEN": bot.slack.workspace.token, "REPLY_TO": "nobody"})
    print(refused.value)
    assert bot.record.leaks() == []
