"""The leak check of the other tests finds planted leaks."""

import logging
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.toxicity_bot.bot import Bot
from tests.toxicity_bot.record import CANARIES, Record
from toxicity_bot.observability import count, logger

CANARY = CANARIES["a message's text"]

PLANTED: dict[str, Callable[[Bot], object]] = {
    "a job": lambda bot: bot.enqueue(CANARY),
    "a row": lambda bot: bot.aws.client("dynamodb").put_item(TableName=bot.aws.table, Item={"id": {"S": CANARY}}),
    "a metric": lambda _: count("JobEnded", CANARY),
    "a log line": lambda _: logger.warning("job postponed", extra={"why": CANARY}),
    "a library's log": lambda _: logging.getLogger("a.library").debug("request: %s", CANARY),
    **{f"{kind} on standard output": lambda _, text=text: print(text) for kind, text in CANARIES.items()},  # type: ignore[misc]
}


@pytest.mark.failure(57)
@pytest.mark.parametrize("place", PLANTED)
def test_a_canary_is_found(place: str, bot: Bot) -> None:
    assert bot.record.leaks() == []
    PLANTED[place](bot)
    assert len(set(bot.record.leaks())) == 1, "the same leak can occur twice, because clients retry"
    bot.record.clear()


@pytest.mark.failure(52, 57)
def test_canaries_in_a_log_file_and_calls_to_other_hosts_are_found(record: Record, tmp_path: Path) -> None:
    record.watch(log := tmp_path / "worker.log")
    log.write_text(f"KeyError: '{CANARY}'", encoding="utf-8")
    assert len(record.leaks()) == 1
    record.clear()
    with socket.socket() as caller:
        caller.setblocking(False)
        caller.connect_ex(("192.0.2.1", 9))  # reserved for documentation, RFC 5737
    assert record.leaks() == ["192.0.2.1 was called"]
    record.clear()
