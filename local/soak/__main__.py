"""`make soak`: run the bot with random faults, and check that each message has the right verdicts.

Signed HTTP requests, receiver, SQS, two worker processes, slack_sdk and DynamoDB run as in AWS, but with shorter
timeouts and delays (see `local.soak.workers`). The same seed always gives the same plan, but processes and threads run
it in a different order.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args

import typer

from local.aws import EmbeddedAws
from local.bot import RECEIVER, BotError, Process, bot_environ, wait_for
from local.events import Deliveries
from local.soak.checks import Problem, Results, attempts, check_dead_letters, check_logs, check_threads
from local.soak.users import TEXTS, Size, Users, steps
from local.soak.workers import VISIBILITY_SECONDS, Redelivering, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.soak.users import Step

WORKERS = 2
SENDERS = 4
# Jobs that can wait before sending pauses. Thousands would only slow down the embedded queue.
BACKLOG = 150
STEPS_PER_CHECK = 20
MAX_STALL_SECONDS = 120.0  # the longest compressed delay between two attempts is about 40 s
# Seconds between the attempts of one delivery. Slack waits 0, 60 and 300.
RETRY_DELAYS = (0, 0.2, 1)
ANSWER_SECONDS = 10.0  # more than Slack's 3, since two cores run everything
LOST_ACK_SECONDS = 0.001  # too short for any response
MAX_PROBLEMS_SHOWN = 10
USUAL = Size()


class Sender:
    """Plays Slack: sends each delivery until it gets the right response. `refused` are those that never did."""

    def __init__(self, users: Users, url: str) -> None:
        self.statuses: Counter[str] = Counter()
        self.refused: list[str] = []
        self._users = users
        self._slack, self._forger = (
            Deliveries(url, secret, delays=RETRY_DELAYS, timeout=ANSWER_SECONDS)
            for secret in (users.workspace.signing_secret, "somebody else's")
        )
        self._impatient = Deliveries(url, users.workspace.signing_secret, delays=(), timeout=LOST_ACK_SECONDS)
        self._lock = threading.Lock()

    def send(self, step: Step, payload: dict[str, Any]) -> None:
        """Send one delivery. A forged one must be refused, all others accepted."""
        attempts = self._impatient.send(payload) if step.act == "lose_ack" else []
        slack, expected = (self._forger, 401) if step.act == "forge" else (self._slack, 200)
        attempts += slack.send(payload)
        last = attempts[-1]
        if last.status != expected:
            got = ", ".join(str(one.status or one.failure) for one in attempts)
            self.refused.append(f"message {step.number}, expected {expected}, got {got}")
        elif expected == 200:
            self._users.acknowledged(step.number, time.monotonic() - last.seconds)
        with self._lock:
            self.statuses.update(str(one.status or one.failure) for one in attempts)


class Soak:
    """The bot under test. Call `run` once, inside the `with` block."""

    def __init__(self, seed: int, size: Size) -> None:
        self.seed, self.size = seed, size
        self.users = Users(seed, size)
        self.poisoned: set[str] = set()
        self.dead_letters: list[str] = []
        self._sending: list[Future[None]] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
            self._aws = stack.enter_context(EmbeddedAws(around=lambda services: Redelivering(services, self.seed)))
            self._sqs = self._aws.client("sqs")
            self._aws.set_visibility_timeout(VISIBILITY_SECONDS)
            environ = bot_environ(self._aws, self.users.workspace)
            receiver = Process(RECEIVER, environ, self.logs / "receiver.log")
            stack.callback(receiver.stop)
            self.workers = []
            for number in range(WORKERS):
                worker = Worker(f"worker {number}, seed {self.seed}", self.users, environ, self.logs)
                stack.callback(worker.close)
                self.workers.append(worker)
            self.sender = Sender(self.users, f"http://127.0.0.1:{receiver.wait_until_ready()}/slack/events")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, progress: Callable[[str], object]) -> Results:
        """Run the plan, wait until every job has ended, and check the results."""
        plan = steps(self.seed, self.size)
        with ThreadPoolExecutor(SENDERS) as senders:
            for number, step in enumerate(plan):
                if number % STEPS_PER_CHECK == 0:
                    self._wait(lambda: self._unsent() + self._aws.waiting() < BACKLOG, "the backlog did not shrink")
                if number % (len(plan) // 10 or 1) == 0:
                    progress(f"{number} of {len(plan)} steps")
                self._run_step(step, senders)
        self._wait(lambda: not self._unsent(), "not everything was sent")
        progress("everything is sent; faults continue")
        self._wait(self._only_poisoned_left, "not every valid job ended")
        # Let the poisoned jobs use up their attempts without delays.
        self._aws.set_visibility_timeout(0)
        self._wait(lambda: not self._aws.waiting(), "the poisoned jobs did not become dead letters")
        self._collect_dead_letters()
        results = Results()
        check_threads(self.users, results)
        for delivery in self.sender.refused:
            results.add("refused", delivery)
        check_dead_letters(self.dead_letters, self.poisoned, results)
        workspace = self.users.workspace
        texts = [text for text, _ in TEXTS]
        check_logs(self.logs, [*texts, workspace.token, workspace.signing_secret], results)
        return results

    def _run_step(self, step: Step, senders: ThreadPoolExecutor) -> None:
        if step.act == "edit":
            self.users.edit(step.number)
        elif step.act == "delete":
            self.users.delete(step.number)
        elif step.act == "kill":
            self.workers[step.number % WORKERS].kill()
        elif step.act == "poison":
            self._poison(step.number)
        elif (payload := self.users.react(step.number, step.reactor)) is not None:
            self._sending.append(senders.submit(self.sender.send, step, payload))

    def _poison(self, number: int) -> None:
        """Queue a malformed job: not JSON, without ids, or with ids of the wrong type."""
        ids = {"team": "T0LOCAL", "channel": None, "ts": number, "reactor": "U0", "event_id": "Ev0", "event_time": 0}
        body = (f"poison {number}", json.dumps({"poison": number}), json.dumps(ids))[number % 3]
        self.poisoned.add(body)
        self._sqs.send_message(QueueUrl=self._aws.queue_url, MessageBody=body)

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Wait for a condition, and replace workers that ended. Raises BotError if the queue does not change."""

        def waiting() -> int:
            for worker in self.workers:
                worker.replace_ended()
            return self._aws.waiting()

        if not wait_for(condition, MAX_STALL_SECONDS, 0.3, waiting):
            raise BotError(f"{otherwise}: the queue has had {waiting()} jobs for {MAX_STALL_SECONDS:.0f} s")

    def _unsent(self) -> int:
        """Return the number of unfinished deliveries. Raises the exceptions of finished ones."""
        unfinished = [delivery for delivery in self._sending if not delivery.done()]
        for delivery in set(self._sending).difference(unfinished):
            delivery.result()
        self._sending = unfinished
        return len(unfinished)

    def _only_poisoned_left(self) -> bool:
        self._collect_dead_letters()
        return self._aws.waiting() <= len(self.poisoned.difference(self.dead_letters))

    def _collect_dead_letters(self) -> None:
        url = self._aws.dead_letter_queue_url
        while messages := self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.dead_letters.append(message["Body"])
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def report(soak: Soak, results: Results, seconds: float) -> Iterator[str]:
    """Yield the lines of the report."""
    users = soak.users
    reactions = sum(len(written.reactions) for written in users.messages.values())
    yield f"seed {soak.seed}: {reactions} reactions to {len(users.messages)} messages, {seconds:.0f} s"
    for name, counts in {
        "requests": soak.sender.statuses,
        "attempts at jobs": attempts(soak.logs),
        "worker deaths": sum((worker.ends for worker in soak.workers), Counter[str]()),
        "faults": sum((worker.faults.counts for worker in soak.workers), Counter[str]()),
        "changes": Counter({"edits": users.edits, "deletions": users.deletions}),
        "verdicts": results.outcomes,
        "poisoned jobs": Counter({"sent": soak.size.poisoned}),
    }.items():
        kinds = ", ".join(f"{kind} {number}" for kind, number in counts.most_common()) or "none"
        yield f"  {name:<18}{counts.total()}: {kinds}"
    yield "  " + ", ".join(f"{problem} {results.counts[problem]}" for problem in get_args(Problem))
    yield from (f"  {problem}" for problem in results.problems[:MAX_PROBLEMS_SHOWN])


def run(seed: int, size: Size) -> bool:
    """Run one soak and print its report. Return whether every check passed."""
    started = time.monotonic()

    def progress(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    try:
        with Soak(seed, size) as soak:
            results = soak.run(progress)
            print("\n".join(report(soak, results, time.monotonic() - started)), flush=True)
    except BotError as error:
        print(error, file=sys.stderr)
        return False
    return not results.problems


def main(
    seed: Annotated[int | None, typer.Option(help="Determines the plan. Default: the current time.")] = None,
    deliveries: Annotated[int, typer.Option(help="Requests from Slack.", min=1)] = USUAL.deliveries,
    reactions: Annotated[int | None, typer.Option(help="Reactions. Each is delivered at least once.", min=1)] = None,
    poisoned: Annotated[int, typer.Option(help="Malformed jobs.", min=0)] = USUAL.poisoned,
    minutes: Annotated[float, typer.Option(help="Repeat with the next seed for this long.")] = 0,
) -> None:
    """Run the bot with random faults. Exit with 1 if a message has a wrong number of verdicts."""
    ends = time.monotonic() + 60 * minutes
    reactions = min(deliveries, USUAL.reactions) if reactions is None else reactions
    if reactions > deliveries:
        raise typer.BadParameter(f"{reactions} reactions need at least as many --deliveries, not {deliveries}")
    size = Size(deliveries, reactions, poisoned)
    seed = int(time.time()) if seed is None else seed
    while True:
        if not run(seed, size):
            options = f"--deliveries {deliveries} --reactions {reactions} --poisoned {poisoned}"
            print(f"To repeat this run: python -m local.soak --seed {seed} {options}", file=sys.stderr)
            raise typer.Exit(1)
        seed += 1
        if time.monotonic() >= ends:
            return


if __name__ == "__main__":
    typer.run(main)
