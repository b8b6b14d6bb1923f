from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from local.functions import LocalContext
from tests.toxicity_bot.bot import end_claims, rows
from toxicity_bot.errors import ClaimedError, LedgerError, MessageGoneError, SlackError, SlackUnavailableError
from toxicity_bot.ledger import KEPT_SECONDS, Ledger, Outcome, message_key

if TYPE_CHECKING:
    from local.aws import EmbeddedAws

MESSAGE = ("T0LOCAL", "C0GENERAL", "1731000000.000100")
KEY = message_key(*MESSAGE, "Good morning.")

Once = Callable[..., Outcome]


@dataclass
class Work:
    """Counts how often it is done; its outcomes differ."""

    runs: int = 0

    def __call__(self) -> Outcome:
        self.runs += 1
        return {"outcome": "toxic", "run": self.runs}


@pytest.fixture
def once(aws: EmbeddedAws, ledger: Ledger) -> Once:
    """Do work once, in an invocation that has so many `seconds` left."""

    def run(work: Callable[[], Outcome], kind: str = "verdict", key: str = KEY, seconds: float = 30) -> Outcome:
        ledger.lease_until_end_of(LocalContext("worker", timeout_seconds=seconds))  # type: ignore[arg-type]
        return ledger.once(kind, key, work)

    return run


def test_work_is_done_once_and_keeps_its_first_outcome(aws: EmbeddedAws, once: Once) -> None:
    work = Work()
    assert [once(work) for _ in range(2)] == [{"outcome": "toxic", "run": 1}] * 2
    (row,) = rows(aws)
    assert row.keys() == {"id", "expiration", "in_progress_expiration", "data", "status"}
    assert json.loads(row["data"]["S"]) == {"outcome": "toxic", "run": 1}
    seconds_left = int(row["expiration"]["N"]) - time.time()
    assert seconds_left == pytest.approx(KEPT_SECONDS, abs=60)
    assert seconds_left > 14 * 24 * 3600, "a row outlives the dead-letter queue"


def test_work_may_do_other_work_once_and_both_are_kept(aws: EmbeddedAws, once: Once) -> None:
    inner, outer = Work(), Work()

    def work() -> Outcome:
        return outer() | {"inner": once(inner, "card")["run"]}

    assert [once(work, "report")["inner"] for _ in range(2)] == [1, 1]
    assert (inner.runs, outer.runs) == (1, 1)
    assert sorted(row["id"]["S"].partition("#")[0] for row in rows(aws)) == ["card", "report"]
    assert {row["status"]["S"] for row in rows(aws)} == {"COMPLETED"}


def test_each_kind_and_key_is_separate_work(once: Once) -> None:
    work = Work()
    edited = message_key(*MESSAGE, "Good evening.")
    for kind, key in (("verdict", KEY), ("verdict", edited), ("hint", KEY)):
        once(work, kind, key)
    assert work.runs == 3


@pytest.mark.parametrize(
    ("error", "free"),
    [
        *((SlackUnavailableError("chat.postMessage", code), False)
          for code in ("TimeoutError", "http_504", "ConnectionResetError", "http_502")),
        (SlackUnavailableError("chat.postMessage", "URLError"), True),
        (SlackUnavailableError("conversations.replies", "TimeoutError"), True),
        (MessageGoneError("chat.postMessage", "thread_not_found"), True),
    ],
    ids=str,
)  # fmt: skip
def test_a_failure_frees_the_row_unless_a_post_may_yet_appear(
    error: SlackError, free: bool, aws: EmbeddedAws, once: Once
) -> None:
    def fail() -> Outcome:
        raise error

    with pytest.raises(type(error)):
        once(fail)
    if free:
        assert rows(aws) == []
        return
    with pytest.raises(ClaimedError):
        once(Work())
    end_claims(aws)
    assert once(Work())["run"] == 1


@pytest.mark.failure(33)
def test_a_row_stays_in_doubt_until_somebody_knows_whether_the_work_was_done(
    aws: EmbeddedAws, ledger: Ledger, once: Once
) -> None:
    doubts = []

    def fail(error: SlackError) -> None:
        def work() -> Outcome:
            doubts.append(ledger.in_doubt)
            raise error

        with pytest.raises(type(error)):
            once(work)

    for _ in range(2):
        fail(SlackUnavailableError("chat.postMessage", "URLError"))
    fail(SlackUnavailableError("chat.postMessage", "TimeoutError"))
    end_claims(aws)
    for code in ("ratelimited", "URLError"):
        fail(SlackUnavailableError("conversations.replies", code))

    def found() -> Outcome:
        doubts.append(ledger.in_doubt)
        return {"outcome": "found"}

    assert once(found) == once(Work()) == {"outcome": "found"}
    assert doubts == [False, False, False, True, True, True]
    once(fresh := Work(), key="another")
    assert (fresh.runs, ledger.in_doubt) == (1, False)


def test_a_key_tells_contents_apart_and_no_messages_text() -> None:
    reads = ["", "Good morning.", "Good evening.", "good morning.", "Good morning. \ud83d"]
    keys = {message_key(*MESSAGE, read) for read in reads} | {message_key(*MESSAGE, "", "Good morning.")}
    assert len(keys) == 6
    assert all(key.startswith("/".join(MESSAGE) + "/") and len(key.split("/")[3]) == 8 for key in keys)
    assert message_key(*MESSAGE, " Good\n morning.", "") == KEY
    another = message_key("T0LOCAL", "C0GENERAL", "1731000000.000200", "Good morning.")
    assert another[-8:] != KEY[-8:], "equal texts in two messages cannot be seen"


@pytest.mark.failure(46, 49)
@pytest.mark.parametrize(("seconds_left", "runs"), [(30, 0), (0, 1)])
def test_a_row_is_claimed_until_the_lease_of_its_invocation_ends(seconds_left: float, runs: int, once: Once) -> None:
    """Lambda has ended an invocation that has no time left."""
    work = Work()

    def while_it_works() -> Outcome:
        with nullcontext() if runs else pytest.raises(ClaimedError, match="another invocation is at this verdict"):
            once(work)
        return {"outcome": "fine"}

    assert once(while_it_works, seconds=seconds_left) == {"outcome": "fine"}
    assert work.runs == runs


@pytest.mark.failure(46)
def test_one_of_eight_concurrent_invocations_does_the_work(aws: EmbeddedAws, once: Once) -> None:
    work, start = Work(), threading.Barrier(8)

    def race(_: int) -> str:
        start.wait()
        try:
            return str(once(work)["outcome"])
        except ClaimedError:
            return "claimed"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(race, range(8)))
    assert work.runs == 1, outcomes
    assert set(outcomes) <= {"toxic", "claimed"}
    assert "toxic" in outcomes


@pytest.mark.failure(55)
def test_an_expired_row_does_not_count_even_if_dynamodb_still_returns_it(aws: EmbeddedAws, once: Once) -> None:
    work = Work()
    once(work)
    (row,) = rows(aws)
    aws.client("dynamodb").update_item(
        TableName=aws.table,
        Key={"id": row["id"]},
        UpdateExpression="SET expiration = :past",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 1)}},
    )
    assert len(rows(aws)) == 1
    assert once(work)["run"] == 2


def test_a_missing_table_raises_an_error_and_the_work_is_not_done(aws: EmbeddedAws, once: Once) -> None:
    aws.client("dynamodb").delete_table(TableName=aws.table)
    work = Work()
    with pytest.raises(LedgerError) as failure:
        once(work)
    assert failure.value.code == "ResourceNotFoundException"
    assert work.runs == 0
