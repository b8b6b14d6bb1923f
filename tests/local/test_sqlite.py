"""The queue and table in a SQLite file behave like moto's SQS and DynamoDB.

tests/toxicity_bot/test_ledger.py and test_turns.py run the same tests on DynamoDB and on such a table.
"""

import multiprocessing
import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import boto3
import pytest

from local.aws import EmbeddedAws
from local.functions import TIMEOUT_SECONDS, LocalContext
from local.socket_mode import aws as sqlite_aws
from local.socket_mode.aws import SqliteQueue, SqliteTable, answer_locally
from local.socket_mode.file import SqliteFile, SqliteFileError
from toxicity_bot.errors import LedgerError
from toxicity_bot.jobs import MAX_ATTEMPTS
from toxicity_bot.ledger import Ledger


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
    """A boto3 client for the queue in the file."""
    client = boto3.client("sqs")
    answer_locally(client, queue)
    return client


def table_in(file: SqliteFile) -> Any:
    """A boto3 client for the table in a file."""
    client = boto3.client("dynamodb")
    answer_locally(client, SqliteTable(file))
    return client


def received(sqs: Any, url: str = "file") -> list[dict[str, Any]]:
    asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"]}
    messages: list[dict[str, Any]] = sqs.receive_message(**asked).get("Messages", [])
    return messages


def send(sqs: Any, body: str, delay: int = 0) -> None:
    sqs.send_message(QueueUrl="file", MessageBody=body, DelaySeconds=delay)


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


def test_a_job_is_received_as_from_sqs(sqs: Any, aws: EmbeddedAws) -> None:
    send(sqs, "{}")
    aws.client("sqs").send_message(QueueUrl=aws.queue_url, MessageBody="{}")
    (here,), (there,) = received(sqs), received(aws.client("sqs"), aws.queue_url)
    assert here.keys() == there.keys() - {"MD5OfMessageAttributes"}
    assert (here["Body"], here["MD5OfBody"]) == (there["Body"], there["MD5OfBody"])
    assert here["Attributes"].items() >= {"ApproximateReceiveCount": "1"}.items()
    assert here["Attributes"].keys() <= there["Attributes"].keys()


@pytest.mark.failure(132)
def test_a_job_is_hidden_while_in_flight_and_redelivered_until_it_is_deleted(
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
def test_a_job_becomes_a_dead_letter_after_ten_attempts_and_can_be_redriven(
    aws: EmbeddedAws, file: SqliteFile, clock: Clock
) -> None:
    assert sqlite_aws.VISIBILITY_SECONDS > TIMEOUT_SECONDS
    on_dead_letters: list[int] = []
    queue, sqs = SqliteQueue(file, clock, on_dead_letters.append), boto3.client("sqs")
    answer_locally(sqs, queue)
    send(sqs, "a")
    tries = 0
    while queue.waiting():
        tries += len(received(sqs))
        clock.now += sqlite_aws.VISIBILITY_SECONDS
    assert (tries, queue.dead(), on_dead_letters) == (MAX_ATTEMPTS, 1, [1])
    queue.redrive()
    assert queue.dead() == 0
    assert bodies(received(sqs)) == ["a"]


def test_delayed_jobs_are_received_later_and_the_oldest_first(sqs: Any, clock: Clock) -> None:
    send(sqs, "late", delay=15)
    for body in "ab":
        clock.now += 1
        send(sqs, body)
    assert bodies(received(sqs)) == ["a", "b"]
    clock.now += 13
    assert bodies(received(sqs)) == ["late"]


def test_a_long_poll_returns_when_a_job_is_sent(sqs: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(sqs.receive_message, QueueUrl="file", WaitTimeSeconds=20)
        send(sqs, "a")
        assert bodies(polled.result()["Messages"]) == ["a"]


def test_an_expired_row_is_removed_at_the_next_start(file: SqliteFile, aws: EmbeddedAws) -> None:
    table = table_in(file)
    for seconds in (-1, 60):
        expiration = {"N": str(int(time.time()) + seconds)}
        table.put_item(TableName="rows", Item={"id": {"S": f"{seconds}"}, "expiration": expiration})
    assert [row["id"]["S"] for row in table_in(file).scan(TableName="rows")["Items"]] == ["60"]


def test_filters_and_updates_work_as_in_dynamodb(file: SqliteFile, aws: EmbeddedAws) -> None:
    """Covers the expressions that parts of the bot other than the ledger use."""

    def found(client: Any) -> list[dict[str, Any]]:
        for key in ("card#1", "other#1", "gone#1"):
            client.put_item(TableName=aws.table, Item={"id": {"S": key}})
        client.update_item(
            TableName=aws.table, Key={"id": {"S": "new#1"}}, UpdateExpression="SET #a = :a, b = :b",
            ExpressionAttributeNames={"#a": "a"}, ExpressionAttributeValues={":a": {"S": "x"}, ":b": {"N": "1"}},
        )  # fmt: skip
        client.delete_item(TableName=aws.table, Key={"id": {"S": "gone#1"}})
        pages = client.get_paginator("scan").paginate(
            TableName=aws.table, FilterExpression="NOT begins_with(id, :other)",
            ExpressionAttributeValues={":other": {"S": "other#"}},
        )  # fmt: skip
        return sorted((item for page in pages for item in page["Items"]), key=lambda item: str(item["id"]))

    here = found(table_in(file))
    assert here == found(aws.client("dynamodb"))
    assert [item["id"]["S"] for item in here] == ["card#1", "new#1"]


def test_unsupported_calls_raise_an_error(file: SqliteFile, aws: EmbeddedAws) -> None:
    with pytest.raises(KeyError, match="ListTables"):
        table_in(file).list_tables()
    with pytest.raises(NotImplementedError, match="REMOVE a"):
        table_in(file).update_item(TableName="rows", Key={"id": {"S": "a"}}, UpdateExpression="REMOVE a")


@pytest.mark.failure(133)
def test_only_its_owner_can_read_the_file(file: SqliteFile, sqs: Any) -> None:
    sqs.send_message(QueueUrl="jobs", MessageBody="{}")
    modes = {path.name: path.stat().st_mode & 0o777 for path in file.path.parent.glob(f"{file.path.name}*")}
    assert modes == {file.path.name: 0o600, f"{file.path.name}-wal": 0o600}


def test_only_one_process_at_a_time_can_open_the_file(file: SqliteFile) -> None:
    with pytest.raises(SqliteFileError, match="is in use: stop the other bot that uses it") as refusal:
        SqliteFile(file.path)
    assert refusal.value.exit_status == 1
    file.close()
    SqliteFile(file.path).close()


def _write_and_die(path: Path) -> None:
    SqliteQueue(SqliteFile(path)).send_message({"MessageBody": "a"})
    os.kill(os.getpid(), 9)


@pytest.mark.failure(130, 132)
def test_data_survives_a_kill_and_the_attempt_count_continues(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "bot.sqlite3"
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -9
    clock.now = time.time()
    for tries in ("1", "2"):
        file = SqliteFile(path)
        (message,) = SqliteQueue(file, clock).receive_message({})["Messages"]
        assert (message["Body"], message["Attributes"]["ApproximateReceiveCount"]) == ("a", tries)
        file.close()
        clock.now += sqlite_aws.VISIBILITY_SECONDS


@pytest.mark.failure(134)
def test_a_full_disk_keeps_existing_data_and_raises_an_error(sqs: Any, queue: SqliteQueue, file: SqliteFile) -> None:
    with file.change() as connection:
        connection.execute("PRAGMA max_page_count = 20")
    sent: list[int] = []

    def fill() -> NoReturn:
        while True:
            send(sqs, "a" * 1000)
            sent.append(1)

    with pytest.raises(SqliteFileError, match="does not fit on the disk: free some space") as failure:
        fill()
    assert failure.value.exit_status == 1
    assert isinstance(failure.value.__cause__, sqlite3.OperationalError)
    assert queue.waiting() == len(sent) > 0
    ledger = Ledger("rows")
    answer_locally(ledger.table.client, SqliteTable(file))
    ledger.set_deadline(LocalContext("worker"))  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match="SqliteFileError"):
        ledger.once("verdict", "a", lambda: {"outcome": "x" * 100_000})


@pytest.mark.failure(134)
@pytest.mark.parametrize(
    ("name", "words"), [("missing/bot", "cannot be written"), ("folder", "cannot be written"), ("text", "another kind")]
)
def test_an_unusable_file_is_named_in_an_error_that_says_what_to_do(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("Not a database, but long enough to be read as the head of one. " * 20)
    with pytest.raises(SqliteFileError, match=f"{name} .*{words}.*FILE=") as refusal:
        SqliteFile(tmp_path / name)
    assert refusal.value.exit_status == 2
