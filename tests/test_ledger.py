from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from local.lambda_context import LocalContext
from toxicity_bot.errors import ClaimedError, LedgerError, MessageGoneError, SlackUnavailableError
from toxicity_bot.ledger import KEPT_SECONDS, Ledger, Outcome, message_key

if TYPE_CHECKING:
    from local.aws import EmbeddedAws

KEY = message_key("T0LOCAL", "C0GENERAL", "1731000000.000100", "")


class Work:
    """Counts how often it is done; its outcomes differ."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> Outcome:
        self.runs += 1
        return {"outcome": "toxic", "run": self.runs}


def ledger_of(aws: EmbeddedAws, seconds: float = 30) -> Ledger:
    """The ledger of an invocation that has so many seconds left."""
    ledger = Ledger(aws.table)
    ledger.lease_until_end_of(LocalContext("worker", timeout_seconds=seconds))  # type: ignore[arg-type]  # as on Lambda
    return ledger


def test_what_was_done_is_not_done_again_and_has_its_first_outcome(aws: EmbeddedAws) -> None:
    work = Work()
    assert ledger_of(aws).once("verdict", KEY, work) == {"outcome": "toxic", "run": 1}
    assert ledger_of(aws).once("verdict", KEY, work) == {"outcome": "toxic", "run": 1}
    assert work.runs == 1


def test_f22_another_key_or_kind_is_other_work(aws: EmbeddedAws) -> None:
    ledger, work = ledger_of(aws), Work()
    edited = message_key("T0LOCAL", "C0GENERAL", "1731000000.000100", "1731000060.000000")
    for kind, key in (("verdict", KEY), ("verdict", edited), ("hint", KEY)):
        ledger.once(kind, key, work)
    assert work.runs == 3


def test_work_that_fails_frees_its_row(aws: EmbeddedAws) -> None:
    ledger, work = ledger_of(aws), Work()

    def fail() -> Outcome:
        raise MessageGoneError("chat.postMessage", "thread_not_found")

    with pytest.raises(MessageGoneError):
        ledger.once("verdict", KEY, fail)
    assert rows(aws) == []
    assert ledger.once("verdict", KEY, work)["run"] == 1


@pytest.mark.parametrize(
    ("error", "free"),
    [
        (SlackUnavailableError("chat.postMessage", "TimeoutError"), False),
        (SlackUnavailableError("chat.postMessage", "http_504"), False),
        (SlackUnavailableError("chat.postMessage", "ConnectionResetError"), False),
        (SlackUnavailableError("chat.postMessage", "http_502"), False),
        (SlackUnavailableError("chat.postMessage", "URLError"), True),
        (SlackUnavailableError("conversations.replies", "TimeoutError"), True),
    ],
)
def test_f33_a_post_that_may_yet_appear_keeps_its_claim(
    error: SlackUnavailableError, free: bool, aws: EmbeddedAws
) -> None:
    def time_out() -> Outcome:
        raise error

    with pytest.raises(SlackUnavailableError):
        ledger_of(aws, seconds=30).once("verdict", KEY, time_out)
    if free:
        assert rows(aws) == []
        return
    with pytest.raises(ClaimedError):
        ledger_of(aws).once("verdict", KEY, Work())
    # Its invocation has ended.
    aws.client("dynamodb").update_item(
        TableName=aws.table,
        Key={"id": rows(aws)[0]["id"]},
        UpdateExpression="SET in_progress_expiration = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )
    assert ledger_of(aws).once("verdict", KEY, Work())["run"] == 1


def test_f46_a_row_under_work_is_claimed(aws: EmbeddedAws) -> None:
    work = Work()

    def while_it_works() -> Outcome:
        with pytest.raises(ClaimedError, match="another invocation is at this verdict"):
            ledger_of(aws).once("verdict", KEY, work)
        return {"outcome": "fine"}

    assert ledger_of(aws, seconds=30).once("verdict", KEY, while_it_works) == {"outcome": "fine"}
    assert work.runs == 0


def test_f49_a_row_of_a_dead_invocation_is_free_when_its_lease_ends(aws: EmbeddedAws) -> None:
    work = Work()

    def while_it_hangs() -> Outcome:
        """The invocation that claimed the row had no time left: by now it has been ended."""
        assert ledger_of(aws).once("verdict", KEY, work) == {"outcome": "toxic", "run": 1}
        return {"outcome": "fine"}

    ledger_of(aws, seconds=0).once("verdict", KEY, while_it_hangs)
    assert work.runs == 1


def test_f46_of_eight_that_race_one_does_the_work(aws: EmbeddedAws) -> None:
    ledgers, work, start = [ledger_of(aws) for _ in range(8)], Work(), threading.Barrier(8)

    def race(ledger: Ledger) -> str:
        start.wait()
        try:
            return str(ledger.once("verdict", KEY, work)["outcome"])
        except ClaimedError:
            return "claimed"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(race, ledgers))
    assert work.runs == 1, outcomes
    assert set(outcomes) <= {"toxic", "claimed"}
    assert "toxic" in outcomes


def test_f55_an_expired_row_counts_as_none_although_it_is_still_there(aws: EmbeddedAws) -> None:
    ledger, work = ledger_of(aws), Work()
    ledger.once("verdict", KEY, work)
    (row,) = rows(aws)
    aws.client("dynamodb").update_item(
        TableName=aws.table,
        Key={"id": row["id"]},
        UpdateExpression="SET expiration = :past",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 1)}},
    )
    assert len(rows(aws)) == 1
    assert ledger.once("verdict", KEY, work)["run"] == 2


def test_f3_a_row_outlives_every_retry_of_slacks_and_the_dead_letter_queue(aws: EmbeddedAws) -> None:
    ledger_of(aws).once("verdict", KEY, Work())
    (row,) = rows(aws)
    seconds_left = int(row["expiration"]["N"]) - time.time()
    assert seconds_left == pytest.approx(KEPT_SECONDS, abs=60)
    assert seconds_left > 14 * 24 * 3600


def test_f57_rows_hold_a_hash_an_outcome_and_times(aws: EmbeddedAws) -> None:
    ledger_of(aws).once("verdict", KEY, Work())
    (row,) = rows(aws)
    assert row.keys() == {"id", "expiration", "in_progress_expiration", "data", "status"}
    assert json.loads(row["data"]["S"]) == {"outcome": "toxic", "run": 1}


def test_a_missing_table_is_told_and_the_work_is_not_done(aws: EmbeddedAws) -> None:
    aws.client("dynamodb").delete_table(TableName=aws.table)
    work = Work()
    with pytest.raises(LedgerError) as failure:
        ledger_of(aws).once("verdict", KEY, work)
    assert failure.value.code == "ResourceNotFoundException"
    assert work.runs == 0


def test_f27_an_edit_makes_a_new_key() -> None:
    assert message_key("T1", "C1", "1.1", "") == "T1/C1/1.1/"
    assert message_key("T1", "C1", "1.1", "2.0") == "T1/C1/1.1/2.0"


def rows(aws: EmbeddedAws) -> list[dict[str, dict[str, str]]]:
    items: list[dict[str, dict[str, str]]] = aws.client("dynamodb").scan(TableName=aws.table)["Items"]
    return items
