"""One soak from its seed to its findings: the whole bot in foul weather, until every job has ended."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

from local.aws import EmbeddedAws
from local.bot import BotError, Process, model_dir
from local.events import encoded
from local.soak import findings
from local.soak.crew import Worker
from local.soak.people import TEXTS, People
from local.soak.plan import steps
from local.soak.sender import Sender
from local.soak.worker import VISIBILITY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.soak.findings import Findings
    from local.soak.plan import Size, Step

WORKERS = 2
SENDERS = 4
# Jobs that may wait while more are sent: a queue of thousands would only make the embedded one slow.
BACKLOG = 150
STEPS_BETWEEN_LOOKS = 20
LONGEST_STANDSTILL = 120.0  # seconds; the longest compressed wait between two tries is some forty


class Soak:
    """The bot under load; `run` once, inside the `with` block."""

    def __init__(self, seed: int, size: Size) -> None:
        self.seed, self.size = seed, size
        self.people = People(seed, size)
        self.poisoned: set[str] = set()
        self.dead_letters: list[str] = []
        self._sending: list[Future[None]] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
            self._aws = stack.enter_context(EmbeddedAws())
            self._sqs = self._aws.client("sqs")
            self._let_jobs_return_after(VISIBILITY_SECONDS)
            environ = self._aws.environ | {
                "SLACK_SIGNING_SECRET": self.people.workspace.signing_secret,
                "SLACK_BOT_TOKEN": self.people.workspace.token,
                "MODEL_DIR": str(model_dir()),
                "PYTHONUNBUFFERED": "1",
            }
            receiver = Process("local.gateway", environ, self.logs / "receiver.log")
            stack.callback(receiver.stop)
            self.workers = []
            for number in range(WORKERS):
                worker = Worker(f"worker {number}, seed {self.seed}", self.people, environ, self.logs)
                stack.callback(worker.close)
                self.workers.append(worker)
            self.sender = Sender(self.people, f"http://127.0.0.1:{receiver.wait_until_ready()}/slack/events")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, progress: Callable[[str], object]) -> Findings:
        """Do all that is planned, wait until every job has ended, and look at what there is."""
        plan = steps(self.seed, self.size)
        with ThreadPoolExecutor(SENDERS) as senders:
            for number, step in enumerate(plan):
                if number % STEPS_BETWEEN_LOOKS == 0:
                    self._until(lambda: self._unsent() + self._aws.waiting() < BACKLOG, "the backlog shrinks")
                if number % (len(plan) // 10 or 1) == 0:
                    progress(f"{number} of {len(plan)} steps")
                self._take(step, senders)
        self._until(lambda: not self._unsent(), "all is sent")
        progress("all is sent, the weather stays as it is")
        self._until(self._only_poison_is_left, "every honest job has ended")
        # What is left fails as often as the queue allows, without the waits in between.
        self._let_jobs_return_after(0)
        self._until(lambda: not self._aws.waiting(), "the poisoned jobs are dead letters")
        self._collect_dead_letters()
        found = findings.in_the_threads(self.people)
        findings.in_the_answers(self.sender.refused, found)
        findings.in_the_dead_letter_queue(self.dead_letters, self.poisoned, found)
        workspace = self.people.workspace
        texts = [text for text, _ in TEXTS]
        findings.in_the_logs(self.logs, [*texts, workspace.token, workspace.signing_secret], found)
        return found

    def _take(self, step: Step, senders: ThreadPoolExecutor) -> None:
        if step.act == "edit":
            self.people.edit(step.number)
        elif step.act == "delete":
            self.people.delete(step.number)
        elif step.act == "kill":
            self.workers[step.number % WORKERS].kill()
        elif step.act == "poison":
            self._poison(step.number)
        elif (payload := self.people.reaction(step.number, step.reactor)) is not None:
            self._sending.append(senders.submit(self.sender.deliver, step, encoded(payload)))

    def _poison(self, number: int) -> None:
        """Put a job on the queue that nobody can do: no JSON, no ids, or ids that are none."""
        ids = {"team": "T0LOCAL", "channel": None, "ts": number, "reactor": "U0", "event_id": "Ev0", "event_time": 0}
        body = (f"poison {number}", json.dumps({"poison": number}), json.dumps(ids))[number % 3]
        self.poisoned.add(body)
        self._sqs.send_message(QueueUrl=self._aws.queue_url, MessageBody=body)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition, and replace workers meanwhile; raises BotError if nothing moves any more."""
        jobs, since = self._aws.waiting(), time.monotonic()
        while not condition():
            for worker in self.workers:
                worker.mend()
            if (now := self._aws.waiting()) != jobs:
                jobs, since = now, time.monotonic()
            if time.monotonic() - since > LONGEST_STANDSTILL:
                raise BotError(f"{jobs} jobs have waited for {LONGEST_STANDSTILL:.0f} s: it never was so that {what}")
            time.sleep(0.3)

    def _unsent(self) -> int:
        """How many deliveries are on their way; raises what went wrong in one that is over."""
        on_their_way = [delivery for delivery in self._sending if not delivery.done()]
        for delivery in set(self._sending).difference(on_their_way):
            delivery.result()
        self._sending = on_their_way
        return len(on_their_way)

    def _only_poison_is_left(self) -> bool:
        self._collect_dead_letters()
        return self._aws.waiting() <= len(self.poisoned.difference(self.dead_letters))

    def _collect_dead_letters(self) -> None:
        url = self._aws.dead_letter_queue_url
        while messages := self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.dead_letters.append(message["Body"])
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def _let_jobs_return_after(self, seconds: int) -> None:
        attributes = {"VisibilityTimeout": str(seconds)}
        self._sqs.set_queue_attributes(QueueUrl=self._aws.queue_url, Attributes=attributes)
