"""Queue, ledger and turns in a SQLite file do the same as SQS and DynamoDB, which moto plays."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sqlite3
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local import aws as embedded
from local.functions import TIMEOUT_SECONDS, LocalContext
from local.socket_mode import aws as sqlite_aws
from local.socket_mode.aws import SqliteQueue, SqliteTable, answer_here
from local.socket_mode.file import SqliteFile, SqliteFileError
from toxicity_bot.errors import ClaimedError, LedgerError, RateLimitedError, SlackUnavailableError
from toxicity_bot.ledger import KEPT_SECONDS, Ledger
from toxicity_bot.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.aws import EmbeddedAws


class Clock:
    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteFile]:
    file = SqliteFile(tmp_path / "bot.sqlite3")
    yield file
    file.close()


@pytest.fixture
def queue(file: SqliteFile, clock: Clock) -> SqliteQueue:
    return SqliteQueue(file, clock)


@pytest.fixture
def sqs(aws: EmbeddedAws, queue: SqliteQueue) -> Any:
    """boto3's client of the queue in the file."""
    client = boto3.client("sqs")
    answer_here(client, queue)
    return client


def ledger_in(file: SqliteFile) -> Ledger:
    ledger = Ledger("rows")
    answer_here(ledger.client, SqliteTable(file))
    ledger.lease_until_end_of(LocalContext("worker"))  # type: ignore[arg-type]
    return ledger


def received(sqs: Any, url: str = "file") -> list[dict[str, Any]]:
    asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"]}
    messages: list[dict[str, Any]] = sqs.receive_message(**asked).get("Messages", [])
    return messages


def send(sqs: Any, body: str, delay: int = 0) -> None:
    sqs.send_message(QueueUrl="file", MessageBody=body, DelaySeconds=delay)


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


# The queue.


def test_a_job_is_received_as_from_sqs(sqs: Any, aws: EmbeddedAws) -> None:
    send(sqs, "{}")
    aws.client("sqs").send_message(QueueUrl=aws.queue_url, MessageBody="{}")
    (here,), (there,) = received(sqs), received(aws.client("sqs"), aws.queue_url)
    assert here.keys() == there.keys() - {"MD5OfMessageAttributes"}
    assert (here["Body"], here["MD5OfBody"]) == (there["Body"], there["MD5OfBody"])
    assert here["Attributes"].items() >= {"ApproximateReceiveCount": "1"}.items()
    assert here["Attributes"].keys() <= there["Attributes"].keys()


@pytest.mark.failure(132)
def test_a_job_is_hidden_while_it_is_judged_and_comes_back_until_it_is_deleted(
    sqs: Any, queue: SqliteQueue, clock: Clock
) -> None:
    send(sqs, "a")
    (first,) = received(sqs)
    assert received(sqs) == []
    sqs.change_message_visibility(QueueUrl="file", ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=900)
    clock.now += 899
    assert received(sqs) == []
    clock.now += 1
    (second,) = received(sqs)
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    sqs.delete_message(QueueUrl="file", ReceiptHandle=first["ReceiptHandle"])
    clock.now += sqlite_aws.VISIBILITY_SECONDS
    (third,) = received(sqs)
    sqs.delete_message(QueueUrl="file", ReceiptHandle=third["ReceiptHandle"])
    assert queue.waiting() == 0


@pytest.mark.failure(132)
def test_a_job_is_a_dead_letter_after_ten_tries_and_can_be_tried_again(
    aws: EmbeddedAws, file: SqliteFile, clock: Clock
) -> None:
    buried: list[int] = []
    queue, sqs = SqliteQueue(file, clock, buried.append), boto3.client("sqs")
    answer_here(sqs, queue)
    send(sqs, "a")
    tries = 0
    while queue.waiting():
        tries += len(received(sqs))
        clock.now += sqlite_aws.VISIBILITY_SECONDS
    assert (tries, queue.dead(), buried) == (embedded.MAX_RECEIVE_COUNT, 1, [1])
    queue.redrive()
    assert queue.dead() == 0
    assert bodies(received(sqs)) == ["a"]


def test_limits_are_those_of_the_stack() -> None:
    assert sqlite_aws.MAX_RECEIVE_COUNT == embedded.MAX_RECEIVE_COUNT
    assert sqlite_aws.VISIBILITY_SECONDS > TIMEOUT_SECONDS


def test_a_delayed_job_comes_later_and_the_oldest_job_first(sqs: Any, clock: Clock) -> None:
    send(sqs, "late", delay=15)
    for body in "ab":
        clock.now += 1
        send(sqs, body)
    assert bodies(received(sqs)) == ["a", "b"]
    clock.now += 13
    assert bodies(received(sqs)) == ["late"]


def test_a_long_poll_ends_with_the_job_that_is_sent(sqs: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(sqs.receive_message, QueueUrl="file", WaitTimeSeconds=20)
        send(sqs, "a")
        assert bodies(polled.result()["Messages"]) == ["a"]


@pytest.mark.failure(132)
def test_what_was_sent_and_tried_is_known_after_a_restart(aws: EmbeddedAws, tmp_path: Path, clock: Clock) -> None:
    for tries in range(1, 4):
        file = SqliteFile(tmp_path / "bot.sqlite3")
        sqs = boto3.client("sqs")
        answer_here(sqs, SqliteQueue(file, clock))
        if tries == 1:
            send(sqs, "a")
        (message,) = received(sqs)
        assert message["Attributes"]["ApproximateReceiveCount"] == str(tries)
        file.close()
        clock.now += sqlite_aws.VISIBILITY_SECONDS


# The ledger.

STEP = st.tuples(
    st.sampled_from(["done", "refused", "lost", "nested", "claims end", "settle found", "settle none", "note"]),
    st.sampled_from(["a", "b"]),
)


def rows(client: Any) -> list[dict[str, Any]]:
    """Return what the whole table has, times left out."""
    items: list[dict[str, Any]] = client.scan(TableName="verdicts")["Items"]
    return sorted(items, key=lambda item: str(item["id"]["S"]))


def without_times(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    times = ("expiration", "in_progress_expiration")
    return [{name: value for name, value in item.items() if name not in times} for item in items]


class Two:
    """One ledger in DynamoDB and one in a file, which are asked the same."""

    def __init__(self, aws: EmbeddedAws, file: SqliteFile) -> None:
        self.aws, self.file = aws, file
        self.ledgers = (Ledger(aws.table), ledger_in(file))
        self.ledgers[0].lease_until_end_of(LocalContext("worker"))  # type: ignore[arg-type]

    def end_claims(self) -> None:
        for ledger in self.ledgers:
            for row in rows(ledger.client):
                if row["status"]["S"] == "INPROGRESS":
                    ended = row | {"in_progress_expiration": {"N": "0"}}
                    ledger.client.put_item(TableName=self.aws.table, Item=ended)


def stepped(ledger: Ledger, act: str, key: str, number: int) -> object:
    """Do one step; return what the bot would learn."""
    doubts: list[bool] = []

    def work() -> dict[str, Any]:
        doubts.append(ledger.in_doubt)
        if act == "refused":
            raise RateLimitedError("conversations.history", 1)
        if act == "lost":
            raise SlackUnavailableError("chat.postMessage", "TimeoutError")
        if act == "nested":
            with pytest.raises(ClaimedError):
                ledger.once("verdict", key, work)
        return {"outcome": "toxic", "number": number}

    try:
        if act.startswith("settle"):
            ledger.settle("verdict", key, {"outcome": "found"} if act.endswith("found") else None)
            return None
        if act == "note":
            before = ledger.noted(key)
            ledger.note(key, {"number": number})
            return before, ledger.noted(key)
        return ledger.once("verdict", key, work), doubts
    except (ClaimedError, SlackUnavailableError) as error:
        return type(error), doubts


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=3, max_size=8))
def test_whatever_happens_the_ledger_in_a_file_says_what_dynamodb_says(
    steps: list[tuple[str, str]], aws: EmbeddedAws, tmp_path: Path
) -> None:
    example = str(uuid.uuid4())
    file = SqliteFile(tmp_path / "bot.sqlite3")
    two = Two(aws, file)
    for number, (act, key) in enumerate(steps):
        if act == "claims end":
            two.end_claims()
        else:
            there, here = (stepped(ledger, act, f"{example}/{key}", number) for ledger in two.ledgers)
            assert here == there, (number, act, key)
        there_rows, here_rows = (without_times(rows(ledger.client)) for ledger in two.ledgers)
        assert here_rows == there_rows, (number, act, key)
    file.close()


def test_one_of_eight_threads_does_the_work(aws: EmbeddedAws, file: SqliteFile) -> None:
    ledger = ledger_in(file)
    start, done = threading.Barrier(8), Counter[str]()

    def work() -> dict[str, Any]:
        done["work"] += 1
        return {"outcome": "fine"}

    def race(_: int) -> str:
        start.wait()
        try:
            return str(ledger.once("verdict", "a", work)["outcome"])
        except ClaimedError:
            return "claimed"

    with ThreadPoolExecutor(8) as pool:
        outcomes = set(pool.map(race, range(8)))
    assert done.total() == 1
    assert outcomes <= {"fine", "claimed"}


def test_an_expired_row_does_not_count_and_is_removed_at_the_next_start(aws: EmbeddedAws, file: SqliteFile) -> None:
    ledger = ledger_in(file)

    def expire() -> None:
        (row,) = rows(ledger.client)
        assert 0 <= time.time() + KEPT_SECONDS - int(row["expiration"]["N"]) < 60
        ledger.client.put_item(TableName="rows", Item=row | {"expiration": {"N": str(int(time.time()) - 1)}})

    ledger.once("verdict", "a", lambda: {"outcome": "fine"})
    expire()
    assert ledger.once("verdict", "a", lambda: {"outcome": "toxic"}) == {"outcome": "toxic"}
    expire()
    assert rows(ledger_in(file).client) == []


def test_jobs_that_slack_limits_get_the_same_turns(file: SqliteFile, aws: EmbeddedAws, clock: Clock) -> None:
    here, there = (Turns(aws.table, client, clock) for client in (ledger_in(file).client, aws.client("dynamodb")))
    for number in range(40):
        asked = (f"line {number % 2}", f"job {number % 7}", 60 - number)
        assert here.wait(*asked, retried=number > 20) == there.wait(*asked, retried=number > 20)
        clock.now += 3


def test_conditions_filters_and_changes_are_those_of_dynamodb(file: SqliteFile, aws: EmbeddedAws) -> None:
    """As other parts of the bot use them, beside the ledger."""

    def said(client: Any) -> list[Any]:
        answers: list[Any] = []
        for number, least in ((5, None), (7, "6"), (8, "7")):
            condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
            if least:
                condition = {
                    "ConditionExpression": "attribute_not_exists(id) OR (#state = :open AND (#at < :at OR #by = :by))",
                    "ExpressionAttributeNames": {"#state": "state", "#at": "at", "#by": "by"},
                    "ExpressionAttributeValues": {":open": {"S": "open"}, ":at": {"N": least}, ":by": {"S": "grace"}},
                }
            item = {"id": {"S": "card#1"}, "state": {"S": "open"}, "by": {"S": "ada"}, "at": {"N": str(number)}}
            try:
                client.put_item(TableName=aws.table, Item=item, **condition)
                answers.append("put")
            except client.exceptions.ConditionalCheckFailedException as error:
                answers.append(error.response["Error"]["Code"])
        client.update_item(
            TableName=aws.table, Key={"id": {"S": "new#1"}}, UpdateExpression="SET #a = :a, b = :b",
            ExpressionAttributeNames={"#a": "a"}, ExpressionAttributeValues={":a": {"S": "x"}, ":b": {"N": "1"}},
        )  # fmt: skip
        client.put_item(TableName=aws.table, Item={"id": {"S": "other#1"}})
        client.delete_item(TableName=aws.table, Key={"id": {"S": "other#1"}})
        pages = client.get_paginator("scan").paginate(
            TableName=aws.table, FilterExpression="begins_with(id, :card) OR begins_with(id, :new)",
            ExpressionAttributeValues={":card": {"S": "card#"}, ":new": {"S": "new#"}},
        )  # fmt: skip
        return [*answers, sorted((item for page in pages for item in page["Items"]), key=lambda item: item["id"]["S"])]

    here = said(ledger_in(file).client)
    assert here == said(aws.client("dynamodb"))
    assert here[:3] == ["put", "put", "ConditionalCheckFailedException"]


def test_a_call_that_the_file_cannot_answer_fails_loudly(file: SqliteFile, aws: EmbeddedAws) -> None:
    client = ledger_in(file).client
    with pytest.raises(KeyError, match="ListTables"):
        client.list_tables()
    with pytest.raises(NotImplementedError, match="REMOVE a"):
        client.update_item(TableName="rows", Key={"id": {"S": "a"}}, UpdateExpression="REMOVE a")


# The file.


@pytest.mark.failure(133)
def test_one_process_at_a_time_has_the_file_open(file: SqliteFile) -> None:
    with pytest.raises(SqliteFileError, match="is in use: stop the other bot on it") as refusal:
        SqliteFile(file.path)
    assert refusal.value.exit_status == 1
    file.close()
    SqliteFile(file.path).close()


def _write_and_die(path: Path) -> None:
    SqliteQueue(SqliteFile(path)).send_message({"MessageBody": "a"})
    os.kill(os.getpid(), 9)


@pytest.mark.failure(130)
def test_what_was_written_is_there_after_a_kill_and_the_file_is_free(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(tmp_path / "bot.sqlite3",))
    process.start()
    process.join()
    assert process.exitcode == -9
    file = SqliteFile(tmp_path / "bot.sqlite3")
    assert bodies(SqliteQueue(file).receive_message({})["Messages"]) == ["a"]
    file.close()


@pytest.mark.failure(134)
def test_a_full_file_keeps_what_it_has_and_says_so(sqs: Any, queue: SqliteQueue, file: SqliteFile) -> None:
    ledger = ledger_in(file)
    with file.change() as connection:
        connection.execute("PRAGMA max_page_count = 20")
    sent: list[int] = []

    def fill() -> NoReturn:
        while True:
            send(sqs, "a" * 1000)
            sent.append(1)

    def judge() -> None:
        for number in itertools.count():
            ledger.once("verdict", str(number), lambda: {"outcome": "x" * 1000})

    with pytest.raises(SqliteFileError, match="does not fit on the disk: make room") as failure:
        fill()
    assert failure.value.exit_status == 1
    assert isinstance(failure.value.__cause__, sqlite3.OperationalError)
    assert queue.waiting() == len(sent) > 0
    with pytest.raises(LedgerError, match="SqliteFileError"):
        judge()


@pytest.mark.failure(134)
@pytest.mark.parametrize(
    ("name", "words"), [("missing/bot", "cannot be written"), ("folder", "cannot be written"), ("text", "another kind")]
)
def test_a_file_that_cannot_be_one_is_named_with_what_would_do(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("Not a database, but long enough to be read as the head of one. " * 20)
    with pytest.raises(SqliteFileError, match=f"{name} .*{words}.*FILE=") as refusal:
        SqliteFile(tmp_path / name)
    assert refusal.value.exit_status == 2
