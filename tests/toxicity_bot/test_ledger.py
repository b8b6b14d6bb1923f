"""The ledger in DynamoDB, and in the file of Socket Mode."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.aws import EmbeddedAws
from local.functions import LocalContext
from toxicity_bot.errors import ClaimedError, LedgerError, MessageGoneError, SlackError, SlackUnavailableError
from toxicity_bot.ledger import RETENTION_SECONDS, Ledger, Outcome, message_key

TABLE = "verdicts"
MESSAGE = ("T0LOCAL", "C0GENERAL", "1731000000.000100")
KEY = message_key(*MESSAGE, "Good morning.")
LOST = SlackUnavailableError("chat.postMessage", "TimeoutError")


@dataclass
class Work:
    """Counts its runs. Each run has another outcome."""

    runs: int = 0

    def __call__(self) -> Outcome:
        self.runs += 1
        return {"outcome": "toxic", "run": self.runs}


@dataclass
class Invocations:
    """Run work once per key, each time in a new invocation. `doubts` records the ledger's state at each run."""

    ledger: Ledger
    doubts: list[bool] = field(default_factory=list)

    def once(self, work: Callable[[], Outcome], kind: str = "verdict", key: str = KEY, seconds: float = 30) -> Outcome:
        """Run work once, in an invocation with this many `seconds` left."""

        def noted() -> Outcome:
            self.doubts.append(self.ledger.in_doubt)
            return work()

        self.ledger.set_deadline(LocalContext("worker", timeout_seconds=seconds))  # type: ignore[arg-type]
        return self.ledger.once(kind, key, noted)

    def fail(self, error: SlackError) -> None:
        def work() -> Outcome:
            raise error

        with pytest.raises(type(error)):
            self.once(work)

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.ledger.table.client.scan(TableName=TABLE)["Items"]
        return rows

    def change_row(self, **times: int) -> None:
        """Change times in the only row."""
        (row,) = self.rows()
        changed = row | {name: {"N": str(at)} for name, at in times.items()}
        self.ledger.table.client.put_item(TableName=TABLE, Item=changed)


@pytest.fixture
def invocations(any_ledger: Ledger) -> Invocations:
    return Invocations(any_ledger)


def test_work_is_done_once_and_keeps_its_first_outcome(invocations: Invocations) -> None:
    work = Work()
    assert [invocations.once(work) for _ in range(2)] == [{"outcome": "toxic", "run": 1}] * 2
    (row,) = invocations.rows()
    assert row.keys() == {"id", "expiration", "in_progress_expiration", "data", "status"}
    assert json.loads(row["data"]["S"]) == {"outcome": "toxic", "run": 1}
    seconds_left = int(row["expiration"]["N"]) - time.time()
    assert seconds_left == pytest.approx(RETENTION_SECONDS, abs=60)
    assert seconds_left > 14 * 24 * 3600, "a row outlives the dead-letter queue"


def test_nested_work_runs_once_and_both_outcomes_are_stored(invocations: Invocations) -> None:
    inner, outer = Work(), Work()

    def work() -> Outcome:
        return outer() | {"inner": invocations.once(inner, "card")["run"]}

    assert [invocations.once(work, "report")["inner"] for _ in range(2)] == [1, 1]
    assert (inner.runs, outer.runs) == (1, 1)
    assert sorted(row["id"]["S"].partition("#")[0] for row in invocations.rows()) == ["card", "report"]
    assert {row["status"]["S"] for row in invocations.rows()} == {"COMPLETED"}


def test_each_kind_and_key_is_separate_work(invocations: Invocations) -> None:
    work = Work()
    edited = message_key(*MESSAGE, "Good evening.")
    for kind, key in (("verdict", KEY), ("verdict", edited), ("hint", KEY)):
        invocations.once(work, kind, key)
    assert work.runs == 3


@pytest.mark.parametrize(
    ("error", "free"),
    [
        *((SlackUnavailableError("chat.postMessage", code), False)
          for code in ("TimeoutError", "http_504", "ConnectionResetError", "http_502", "SSLError", "http_200",
                       "fatal_error", "internal_error", "service_unavailable")),
        (SlackUnavailableError("chat.postMessage", "URLError"), True),
        (SlackUnavailableError("conversations.replies", "TimeoutError"), True),
        (MessageGoneError("chat.postMessage", "thread_not_found"), True),
    ],
    ids=str,
)  # fmt: skip
def test_a_failure_frees_the_row_unless_a_post_may_yet_appear(
    error: SlackError, free: bool, invocations: Invocations
) -> None:
    invocations.fail(error)
    assert (invocations.rows() == []) == free
    if not free:
        with pytest.raises(ClaimedError):
            invocations.once(Work())
        invocations.change_row(in_progress_expiration=0)
    assert invocations.once(Work())["run"] == 1


@pytest.mark.failure(33)
def test_a_row_stays_in_doubt_until_the_outcome_is_known(invocations: Invocations) -> None:
    unsent = SlackUnavailableError("chat.postMessage", "URLError")
    for error in (unsent, unsent, LOST):
        invocations.fail(error)
    invocations.change_row(in_progress_expiration=0)
    for code in ("ratelimited", "URLError"):
        invocations.fail(SlackUnavailableError("conversations.replies", code))
    for work in (lambda: {"outcome": "found"}, Work()):
        assert invocations.once(work) == {"outcome": "found"}
    assert invocations.doubts == [False, False, False, True, True, True]
    assert invocations.once(Work(), key="another")["run"] == 1
    assert not invocations.ledger.in_doubt


@pytest.mark.failure(33)
@pytest.mark.parametrize("found", [{"outcome": "found"}, None])
def test_a_search_result_settles_the_doubt(found: Outcome | None, invocations: Invocations) -> None:
    invocations.fail(LOST)
    invocations.change_row(in_progress_expiration=0)
    invocations.ledger.resolve("verdict", KEY, found)
    assert invocations.ledger.resolve("verdict", KEY) == found
    assert invocations.once(Work()) == (found or {"outcome": "toxic", "run": 1})
    assert not any(invocations.doubts)


@pytest.mark.failure(33)
def test_a_note_does_not_end_the_doubt(invocations: Invocations) -> None:
    def interrupted() -> Outcome:
        invocations.ledger.write_note(KEY, {"cursor": "a"})
        raise SlackUnavailableError("conversations.replies", "ratelimited")

    invocations.fail(LOST)
    invocations.change_row(in_progress_expiration=0)
    with pytest.raises(SlackUnavailableError):
        invocations.once(interrupted)
    invocations.once(Work())
    assert invocations.doubts == [False, True, True]


@pytest.mark.failure(33)
@pytest.mark.parametrize(("passed", "claimed_for"), [(3, 27), (6, 30), (29, 30)])
def test_a_claim_lasts_for_at_least_25_seconds_after_a_post_is_sent(
    passed: float, claimed_for: float, invocations: Invocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`passed` and `claimed_for` are seconds before and after the post."""

    def post() -> Outcome:
        sent = time.time() + passed
        monkeypatch.setattr(invocations.ledger.table, "clock", lambda: sent)
        invocations.ledger.renew()
        (row,) = (row for row in invocations.rows() if row["status"]["S"] == "INPROGRESS")
        claims.append(int(row["in_progress_expiration"]["N"]) / 1000 - sent)
        raise LOST

    claims: list[float] = []
    for _ in range(2):
        with pytest.raises(SlackUnavailableError):
            invocations.once(post)
        invocations.change_row(in_progress_expiration=0)
    assert claims == pytest.approx([claimed_for] * 2, abs=1)


@pytest.mark.failure(33)
def test_a_job_that_lost_its_claim_neither_posts_nor_frees_the_row(
    invocations: Invocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late() -> Outcome:
        invocations.change_row(in_progress_expiration=0)
        with pytest.raises(SlackUnavailableError):
            invocations.once(lose)  # another job
        invocations.ledger.renew()
        raise AssertionError("the job would post")

    def lose() -> Outcome:
        raise LOST

    monkeypatch.setattr(invocations.ledger.table, "clock", lambda: time.time() + 20)
    with pytest.raises(ClaimedError):
        invocations.once(late)
    with pytest.raises(ClaimedError):
        invocations.once(Work())


@pytest.mark.failure(33)
def test_a_job_whose_row_another_job_freed_does_not_post_and_leaves_no_row(
    invocations: Invocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late() -> Outcome:
        invocations.change_row(in_progress_expiration=0)
        invocations.fail(MessageGoneError("chat.postMessage", "thread_not_found"))  # another job
        invocations.ledger.resolve("verdict", KEY)
        invocations.ledger.renew()
        raise AssertionError("the job would post")

    monkeypatch.setattr(invocations.ledger.table, "clock", lambda: time.time() + 20)
    with pytest.raises(ClaimedError):
        invocations.once(late)
    assert invocations.rows() == []


@pytest.mark.failure(33)
def test_looking_for_an_outcome_does_not_end_the_doubt(invocations: Invocations) -> None:
    invocations.ledger.set_deadline(LocalContext("worker"))  # type: ignore[arg-type]
    assert invocations.ledger.finished("verdict", KEY) is None
    assert invocations.rows() == []
    invocations.fail(LOST)
    invocations.change_row(in_progress_expiration=0)
    assert invocations.ledger.finished("verdict", KEY) is None
    invocations.once(Work())
    assert invocations.doubts == [False, True]
    assert invocations.ledger.finished("verdict", KEY) == {"outcome": "toxic", "run": 1}


def test_the_latest_note_of_a_row_is_kept(any_ledger: Ledger) -> None:
    any_ledger.write_note(KEY, {"cursor": "a", "since": "1.2"})
    any_ledger.write_note(KEY, {"cursor": "b"})
    assert (any_ledger.read_note(KEY), any_ledger.read_note("another")) == ({"cursor": "b"}, {})


def test_keys_differ_by_content_and_do_not_reveal_the_text() -> None:
    reads = ["", "Good morning.", "Good evening.", "good morning.", "Good morning. \ud83d"]
    keys = {message_key(*MESSAGE, read) for read in reads} | {message_key(*MESSAGE, "", "Good morning.")}
    assert len(keys) == 6
    assert all(key.startswith("/".join(MESSAGE) + "/") and len(key.split("/")[3]) == 8 for key in keys)
    assert message_key(*MESSAGE, " Good\n morning.", "") == KEY
    another = message_key("T0LOCAL", "C0GENERAL", "1731000000.000200", "Good morning.")
    assert another[-8:] != KEY[-8:], "keys do not show that two messages have the same text"


@pytest.mark.failure(46, 49)
@pytest.mark.parametrize(("seconds_left", "runs"), [(30, 0), (0, 1)])
def test_a_row_is_claimed_until_the_lease_of_its_invocation_ends(
    seconds_left: float, runs: int, invocations: Invocations
) -> None:
    """An invocation that has no time left has been ended by Lambda."""
    work = Work()

    def while_it_works() -> Outcome:
        with nullcontext() if runs else pytest.raises(ClaimedError, match="is working on this verdict"):
            invocations.once(work)
        return {"outcome": "fine"}

    assert invocations.once(while_it_works, seconds=seconds_left) == {"outcome": "fine"}
    assert work.runs == runs


@pytest.mark.failure(46)
def test_one_of_eight_concurrent_invocations_does_the_work(invocations: Invocations) -> None:
    work, start = Work(), threading.Barrier(8)

    def race(_: int) -> str:
        start.wait()
        try:
            return str(invocations.once(work)["outcome"])
        except ClaimedError:
            return "claimed"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(race, range(8)))
    assert work.runs == 1, outcomes
    assert "toxic" in outcomes
    assert set(outcomes) <= {"toxic", "claimed"}


@pytest.mark.failure(55)
def test_an_expired_row_does_not_count_even_if_dynamodb_still_returns_it(invocations: Invocations) -> None:
    work = Work()
    invocations.once(work)
    invocations.change_row(expiration=int(time.time()) - 1)
    assert len(invocations.rows()) == 1
    assert invocations.once(work)["run"] == 2


def test_a_missing_table_raises_an_error_and_the_work_is_not_done(aws: EmbeddedAws, ledger: Ledger) -> None:
    aws.client("dynamodb").delete_table(TableName=aws.table)
    work = Work()
    with pytest.raises(LedgerError) as failure:
        Invocations(ledger).once(work)
    assert failure.value.code == "ResourceNotFoundException"
    assert work.runs == 0
