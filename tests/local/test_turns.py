"""Requests to embedded AWS are serialised, and a long poll does not block the others."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local.aws import Turns

if TYPE_CHECKING:
    from local.aws import EmbeddedAws


def test_requests_are_handled_one_at_a_time() -> None:
    inside: list[int] = []
    most: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.001)
        inside.pop()
        return [b""]

    turns = Turns(application)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: turns({}, lambda *_: lambda _: None), range(50)))
    assert (len(most), max(most)) == (50, 1)


def test_a_long_poll_ends_when_a_message_comes(aws: EmbeddedAws) -> None:
    sqs = aws.client("sqs")
    with ThreadPoolExecutor(1) as thread:
        started = time.monotonic()
        polled = thread.submit(sqs.receive_message, QueueUrl=aws.queue_url, WaitTimeSeconds=20)
        while not polled.running():
            threading.Event().wait(0.01)
        sqs.send_message(QueueUrl=aws.queue_url, MessageBody="a job")
        (message,) = polled.result()["Messages"]
    assert message["Body"] == "a job"
    assert time.monotonic() - started < 15, "the poll kept the sender out, or did not see the message"


def test_a_long_poll_without_a_message_ends_in_its_time(aws: EmbeddedAws) -> None:
    started = time.monotonic()
    assert "Messages" not in aws.client("sqs").receive_message(QueueUrl=aws.queue_url, WaitTimeSeconds=1)
    assert time.monotonic() - started >= 1


def test_a_poll_of_a_missing_queue_is_refused_at_once(aws: EmbeddedAws) -> None:
    with pytest.raises(ClientError, match=r"QueueDoesNotExist|NonExistentQueue"):
        aws.client("sqs").receive_message(QueueUrl=f"{aws.queue_url}-elsewhere", WaitTimeSeconds=20)


def test_one_of_many_conditional_writes_wins(aws: EmbeddedAws) -> None:
    def write(number: int) -> bool:
        item = {"id": {"S": "row"}, "by": {"N": str(number)}}
        dynamodb = aws.client("dynamodb")
        try:
            dynamodb.put_item(TableName=aws.table, Item=item, ConditionExpression="attribute_not_exists(id)")
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(write, range(16))) == 1
