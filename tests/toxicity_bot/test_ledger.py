"""The ledger in DynamoDB, and in the file of Socket Mode."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from local.functions import LocalContext
from toxicity_bot.errors import ClaimedError, LedgerError, MessageGoneError, SlackError, SlackUnavailableError
from toxicity_bot.ledger import KEPT_SECONDS, Ledger, Outcome, message_key

if TYPE_CHECKING:
    from local.aws import EmbeddedAws

TABLE = "verdicts"
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
def once(any_ledger: Ledger) -> Once:
    """Do work once, in an invocation that has so many `seconds` left."""

    def run(work: Callable[[], Outcome], kind: str = "verdict", key: str = KEY, seconds: float = 30) -> Outcome:
        any_ledger.lease_until_end_of(LocalContext("worker", timeout_seconds=seconds))  # type: ignore[arg-type]
        return any_ledger.once(kind, key, work)

    return run


def rows(ledger: Ledger) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ledger.client.scan(TableName=TABLE)["Items"]
    return found


def change_row(ledger: Ledger, **numbers: float) -> None:
    """Write times into the only row."""
    (row,) = rows(ledger)
    ledger.client.put_item(TableName=TABLE, Item=row | {name: {"N": str(at)} for name, at in numbers.items()})


def fail(once: Once, error: SlackError) -> None:
    def work() -> Outcome:
        raise error

    with pytest.raises(type(error)):
        once(work)


def test_work_is_done_once_and_keeps_its_first_outcome(any_ledger: Ledger, once: Once) -> None:
    work = Work()
    assert [once(work) for _ in range(2)] == [{"outcome": "toxic", "run": 1}] * 2
    (row,) = rows(any_ledger)
    assert row.keys() == {"id", "expiration", "in_progress_expiration", "data", "status"}
    assert json.loads(row["data"]["S"]) == {"outcome": "toxic", "run": 1}
    seconds_left = int(row["expiration"]["N"]) - time.time()
    assert seconds_left == pytest.approx(KEPT_SECONDS, abs=60)
    assert seconds_left > 14 * 24 * 3600, "a row outlives the dead-letter queue"


def test_work_may_do_other_work_once_and_both_are_kept(any_ledger: Ledger, once: Once) -> None:
    inner, outer = Work(), Work()

    def work() -> Outcome:
        return outer() | {"inner": once(inner, "card")["run"]}

    assert [once(work, "report")["inner"] for _ in range(2)] == [1, 1]
    assert (inner.runs, outer.runs) == (1, 1)
    assert sorted(row["id"]["S"].partition("#")[0] for row in rows(any_ledger)) == ["card", "report"]
    assert {row["status"]["S"] for row in rows(any_ledger)} == {"COMPLETED"}


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
    error: SlackError, free: bool, any_ledger: Ledger, once: Once
) -> None:
    fail(once, error)
    assert (rows(any_ledger) == []) == free
    if not free:
        with pytest.raises(ClaimedError):
            once(Work())
        change_row(any_ledger, in_progress_expiration=0)
    assert once(Work())["run"] == 1


LOST = SlackUnavailableError("chat.postMessage", "TimeoutError")


@pytest.mark.failure(33)
def test_a_row_stays_in_doubt_until_somebody_knows_whether_the_work_was_done(any_ledger: Ledger, once: Once) -> None:
    doubts = []

    def doing(error: SlackError | None = None) -> Callable[[], Outcome]:
        def work() -> Outcome:
            doubts.append(any_ledger.in_doubt)
            if error:
                raise error
            return {"outcome": "found"}

        return work

    unsent = SlackUnavailableError("chat.postMessage", "URLError")
    for error in (unsent, unsent, LOST):
        with pytest.raises(SlackUnavailableError):
            once(doing(error))
    change_row(any_ledger, in_progress_expiration=0)
    for code in ("ratelimited", "URLError"):
        with pytest.raises(SlackUnavailableError):
            once(doing(SlackUnavailableError("conversations.replies", code)))
    assert once(doing()) == once(Work()) == {"outcome": "found"}
    assert doubts == [False, False, False, True, True, True]
    once(fresh := Work(), key="another")
    assert (fresh.runs, any_ledger.in_doubt) == (1, False)


@pytest.mark.failure(33)
@pytest.mark.parametrize("found", [{"outcome": "found"}, None])
def test_a_doubt_is_settled_by_what_was_found(found: Outcome | None, any_ledger: Ledger, once: Once) -> None:
    fail(once, LOST)
    change_row(any_ledger, in_progress_expiration=0)
    any_ledger.settle("verdict", KEY, found)
    assert any_ledger.found("verdict", KEY) == found
    assert once(Work()) == (found or {"outcome": "toxic", "run": 1})
    assert not any_ledger.in_doubt


def test_the_facts_that_were_noted_last_are_kept(any_ledger: Ledger) -> None:
    any_ledger.note(KEY, {"cursor": "a", "since": "1.2"})
    any_ledger.note(KEY, {"cursor": "b"})
    assert (any_ledger.noted(KEY), any_ledger.noted("another")) == ({"cursor": "b"}, {})


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
def test_one_of_eight_concurrent_invocations_does_the_work(once: Once) -> None:
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
def test_an_expired_row_does_not_count_even_if_dynamodb_still_returns_it(any_ledger: Ledger, once: Once) -> None:
    work = Work()
    once(work)
    change_row(any_ledger, expiration=int(time.time()) - 1)
    assert len(rows(any_ledger)) == 1
    assert once(work)["run"] == 2


def test_a_missing_table_raises_an_error_and_the_work_is_not_done(aws: EmbeddedAws, ledger: Ledger) -> None:
    aws.client("dynamodb").delete_table(TableName=aws.table)
    ledger.lease_until_end_of(LocalContext("worker"))  # type: ignore[arg-type]
    work = Work()
    with pytest.raises(LedgerError) as failure:
        ledger.once("verdict", KEY, work)
    assert failure.value.code == "ResourceNotFoundException"
    assert work.runs == 0
