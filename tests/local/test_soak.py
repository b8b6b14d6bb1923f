"""`make soak`: its plan, the problems that it finds, and a small soak test from start to end."""

from __future__ import annotations

import itertools
import re
import time
import urllib.parse
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from local.faults import Faults, ResetEarly
from local.soak import __main__ as soak
from local.soak import checks
from local.soak.users import TEXTS, Size, Step, Users, steps
from local.soak.workers import RandomFaults, WorkersSlack
from tests import run_module

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local.soak.users import Act, Written
    from tests.local.conftest import Receiver

SIZE = Size(deliveries=400, reactions=100, poisoned=3)


@pytest.fixture
def users() -> Users:
    return Users(1, SIZE)


@pytest.fixture
def written(users: Users) -> Written:
    """A message whose reaction the receiver has accepted."""
    assert users.react(1, 0) is not None
    users.acknowledged(1, sent_at=10.0)
    return users.messages[1]


def answer(users: Users, written: Written, outcome: str | None = None, state: str = "", **elsewhere: Any) -> None:
    """Post a verdict as the bot, by default the correct one for the latest content."""
    state = state or [*written.states][-1]
    key = f"T0LOCAL/{written.channel}/{written.ts}/{state}"
    payload = {"key": key, "outcome": outcome or written.states.get(state, "toxic")}
    mark = {"event_type": "toxicity_verdict", "event_payload": payload}
    place = {"thread_ts": written.thread_ts, "metadata": mark} | elsewhere
    users.workspace.post(written.channel, users.workspace.identity.bot_user_id, "a verdict", **place)


def threads(users: Users) -> checks.Results:
    results = checks.Results()
    checks.check_threads(users, results)
    return results


def test_a_plan_depends_on_its_seed_and_contains_the_requested_events() -> None:
    plan = steps(1, SIZE)
    assert plan == steps(1, SIZE) != steps(2, SIZE)
    acts = Counter(step.act for step in plan)
    reactions = {(step.number, step.reactor) for step in plan if step.act in ("deliver", "lose_ack", "forge")}
    assert (acts["deliver"] + acts["lose_ack"] + acts["forge"], len(reactions)) == (400, 100)
    assert (acts["poison"], acts["kill"]) == (3, 5)
    assert min(acts[act] for act in ("edit", "delete", "forge", "lose_ack")) > 0


def test_deliveries_of_different_reactions_are_interleaved() -> None:
    order = [(step.number, step.reactor) for step in steps(1, SIZE) if step.act == "deliver"]
    last = {reaction: number for number, reaction in enumerate(order)}
    between = [number for reaction, number in last.items() if number - order.index(reaction) >= order.count(reaction)]
    assert len(between) > 50


@pytest.mark.parametrize(
    ("posts", "then", "problem"),
    [
        ([{}], None, ""),
        ([{}], Users.edit, ""),
        ([{}], Users.delete, ""),
        ([], None, "missing"),
        ([{}, {}], None, "duplicate"),
        ([{}, {"state": "0badc0de"}], None, "unknown state"),
        ([{"thread_ts": None}], None, "wrong thread"),
        ([{"outcome": "a guess"}], None, "wrong"),
    ],
)
def test_anything_but_one_correct_verdict_in_its_thread_is_a_problem_with_the_messages_ts(
    users: Users, written: Written, posts: list[dict[str, Any]], then: Callable[..., None] | None, problem: str
) -> None:
    for post in posts:
        answer(users, written, **post)
    if then:
        then(users, 1)
    found = threads(users)
    assert found.counts == ({problem: 1} if problem else {})
    assert all(written.ts in one for one in found.problems)
    assert len(found.problems) == bool(problem)


def test_a_verdict_on_an_earlier_state_does_not_replace_one_on_the_last_state(users: Users, written: Written) -> None:
    answer(users, written)
    while len(written.states) == 1:  # an edit may leave the text unchanged
        users.edit(1)
    users.acknowledged(1, sent_at=written.changed_at + 1)
    assert threads(users).counts == {"missing": 1}
    answer(users, written)
    assert threads(users).problems == []


def test_edits_happen_in_quick_succession_and_may_be_unmarked(users: Users, written: Written) -> None:
    edits = [number for number, step in enumerate(steps(1, Size())) if step.act == "edit"]
    assert sum(later - earlier == 1 for earlier, later in itertools.pairwise(edits)) > 5
    marks = set()
    for _ in range(50):
        users.edit(1)
        marks.add("edited" in users.workspace.message(written.channel, written.ts))
    assert marks == {True, False}
    assert 2 < len(written.states) <= len(TEXTS)


def test_a_verdict_caused_only_by_forged_requests_is_found(users: Users) -> None:
    users.react(1, 0)
    answer(users, users.messages[1])
    assert threads(users).counts == {"unrequested": 1}


@pytest.mark.parametrize(
    ("bodies", "problems"), [(["poison"], 0), ([], 1), (["poison", "honest"], 1), (["poison"] * 2, 1)]
)
def test_each_poison_message_must_be_in_the_dead_letter_queue_once(bodies: list[str], problems: int) -> None:
    found = checks.Results()
    checks.check_dead_letters(bodies, {"poison"}, found)
    assert found.counts["dead letter"] == found.counts.total() == problems


def test_a_tenth_of_the_calls_fail_in_eleven_ways() -> None:
    faults = RandomFaults("seed", kill=lambda: None, timeout=1)
    for _ in range(20_000):
        faults.take("chat.postMessage")
    assert 1_700 < faults.counts.total() < 2_300
    assert len(faults.counts) == 11


def test_worker_metrics_are_read_from_logs_with_an_incomplete_last_line(tmp_path: Path) -> None:
    log = '{"JobEnded":[1],"reason":"toxic"}\n{"JobPostponed":[1],"reason":"X"}\n{"JobEn'
    (tmp_path / "worker 0.log").write_text(log)
    assert checks.attempts(tmp_path) == {"ended toxic": 1, "postponed X": 1}


UNCAUGHT = (
    'Traceback (most recent call last):\n  File "worker.py", line 1, in handler\n    fails()\n{error}: why\n{{}}\n'
)


@pytest.mark.parametrize(
    ("log", "text", "problems"),
    [
        ("worker 0.log", '{"JobFailed":[1],"reason":"JobError"}\n', {}),
        ("worker 0.log", '{"JobFailed":[1],"reason":"KeyError"}\n' * 2, {"failed": 1}),
        ("worker 0.log", UNCAUGHT.format(error="KeyError"), {"traceback": 1}),
        ("worker 0.log", UNCAUGHT.format(error="BrokenPipeError"), {"traceback": 1}),
        ("worker 0.log", '{"exception": "Traceback (most recent call last):\\n  File"}\n', {"traceback": 1}),
        ("receiver.log", UNCAUGHT.format(error="KeyError"), {"traceback": 1}),
        ("receiver.log", '{"message": "a body: You idiot."}\n', {"leak": 1}),
        ("worker 0.log", "the token: xoxb-local", {"leak": 1}),  # an incomplete line
    ],
)
def test_leaks_and_errors_in_a_log_are_found(log: str, text: str, problems: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / log).write_text(text)
    found = checks.Results()
    checks.check_logs(tmp_path, ["You idiot.", "xoxb-local"], found)
    assert found.counts == problems


@pytest.mark.parametrize(
    ("status", "act", "refused"),
    [(200, "deliver", 0), (401, "deliver", 1), (503, "lose_ack", 1), (200, "forge", 1), (401, "forge", 0)],
)
def test_a_delivery_that_never_gets_the_expected_status_is_found(
    users: Users, status: int, act: Act, refused: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "RETRY_DELAYS", (0, 0, 0))
    receiver.statuses = [status] * 5
    receiver.headers = {"x-slack-no-retry": "1"} if act == "forge" else {}  # as the bot refuses invalid signatures
    users.react(1, 0)
    slack = soak.Sender(users, receiver.url)
    slack.send(Step(act, 1, 0), {})
    assert len(slack.refused) == refused
    assert slack.statuses.total() == (1 if status == 200 or act == "forge" else 5 if act == "lose_ack" else 4)
    assert bool(users.messages[1].acknowledged_at) == (status == 200 and act == "deliver")


def test_a_post_can_appear_after_its_connection_was_reset(users: Users, written: Written) -> None:
    call = {"channel": written.channel, "text": "late", "thread_ts": written.ts, "token": users.workspace.token}
    with WorkersSlack(users, RandomFaults("seed", kill=lambda: None, timeout=1)) as slack:
        slack.faults = Faults()
        slack.faults.add("chat.postMessage", ResetEarly(0.2))
        with pytest.raises(ConnectionError):
            urllib.request.urlopen(f"{slack.url}chat.postMessage", urllib.parse.urlencode(call).encode(), timeout=30)
        assert len(users.workspace.thread(written.channel, written.ts)) == 1
        deadline = time.monotonic() + 30
        while len(users.workspace.thread(written.channel, written.ts)) == 1:
            assert time.monotonic() < deadline, "expected the post to appear"
            time.sleep(0.01)
    (call_made,) = slack.calls
    assert call_made.error == "connection_reset"


def test_more_reactions_than_deliveries_are_refused() -> None:
    refused = run_module("local.soak", "--deliveries", "100", "--reactions", "101")
    assert (refused.returncode, refused.stdout) == (2, "")


def test_a_small_soak() -> None:
    size = ["--deliveries", "60", "--reactions", "25", "--poisoned", "2"]
    ended = run_module("local.soak", "--seed", "5", *size)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "duplicate 0, missing 0, wrong thread 0" in ended.stdout
    assert "refused 0, dead letter 0, failed 0, traceback 0, leak 0" in ended.stdout
    assert re.search(r"verdicts +[1-9]\d*:", ended.stdout)
    assert "poisoned jobs     2" in ended.stdout
