"""The worker processes of a soak. They are killed at random and replaced, and their calls to Slack fail at random.

`COMPRESSION` divides the delays between attempts (`retry_delay`, Retry-After), the function's timeout, which also
limits the ledger's claims, and the timeout for Slack. The order of these times stays the same. The bot's computing time
is not divided. So claims expire earlier relative to the work than in AWS, which makes the test harder.
"""

from __future__ import annotations

import threading
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

from local.bot import WORKER, Process
from local.faults import DROPPED, ErrorBody, Fault, Faults, HtmlError, RateLimited, Reset, ResetEarly, Slow
from local.functions import TIMEOUT_SECONDS
from local.slack_server import SlackServer
from toxicity_bot import slack_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from local.faults import Reply
    from local.soak.users import Users

COMPRESSION = 5
SLACK_TIMEOUT_SECONDS = slack_messages.TIMEOUT_SECONDS / COMPRESSION
# When SQS gives a killed worker's job to another one. Longer than the function's timeout, as in AWS.
VISIBILITY_SECONDS = TIMEOUT_SECONDS // COMPRESSION + 1
REDELIVERED = 0.01  # fraction of the finished jobs


class RandomFaults(Faults):
    """Makes a tenth of all calls fail, of any method. `timeout` is the worker's timeout for Slack."""

    def __init__(self, seed: str, kill: Callable[[], object], timeout: float) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self._random = Random(seed)  # noqa: S311 - reproducible, not secret
        uniform = self._random.uniform
        # The name of a fault, its frequency per 1,000 calls, and the fault.
        self._kinds: list[tuple[str, float, Callable[[], Fault]]] = [
            ("429", 25, lambda: RateLimited("1")),
            ("502 page", 15, lambda: HtmlError(502)),
            ("fatal_error", 5, ErrorBody),
            ("fatal_error after the work", 5, lambda: ErrorBody(before_work=False)),
            ("reset before the work", 10, lambda: Reset(before_work=True)),
            ("reset after the work", 15, lambda: Reset(before_work=False)),
            ("reset, then the work done", 5, lambda: ResetEarly(timeout * uniform(0.1, 1))),
            ("slow", 15, lambda: Slow(uniform(0, timeout / 2))),
            ("work done after the timeout", 5, lambda: Slow(timeout * uniform(1.05, 2))),
            ("killed before the work", 2.5, lambda: Fault(DROPPED, function=kill)),
            ("killed, then the work done", 2.5, lambda: ResetEarly(timeout * uniform(0, 1), kill)),
        ]

    def take(self, method: str) -> Fault:
        with self._lock:
            drawn = self._random.uniform(0, 1000)
            for name, share, fault in self._kinds:
                if drawn < share:
                    self.counts[name] += 1
                    return fault()
                drawn -= share
        return super().take(method)


class WorkersSlack(SlackServer):
    """A Slack server for one worker, on the shared workspace, so that a call can kill the process that made it."""

    def __init__(self, users: Users, faults: Faults) -> None:
        super().__init__(users.workspace)
        self._users = users
        self.faults = faults

    def answer(self, method: str, token: str | None, arguments: dict[str, Any]) -> Reply:
        if mark := arguments.get("metadata"):
            self._users.change_before_post(mark["event_payload"]["key"].split("/")[2])
        return super().answer(method, token, arguments)


class Worker:
    """A worker: its Slack server and its current process."""

    def __init__(self, name: str, users: Users, environ: Mapping[str, str], logs: Path) -> None:
        self.faults = RandomFaults(name, self.kill, SLACK_TIMEOUT_SECONDS)
        self.ends: Counter[str] = Counter()
        self._slack = WorkersSlack(users, self.faults).start()
        self._environ = {**environ, "SLACK_API_URL": self._slack.url}
        self._name, self._logs = name, logs
        self._lock = threading.Lock()
        self._process = self._started()

    def kill(self) -> None:
        """Kill the process with SIGKILL, and start another one."""
        with self._lock:
            self._process.kill()
            self._replace("killed")

    def replace_ended(self) -> None:
        """Start another process if this one ended by itself, as it does when an invocation times out."""
        with self._lock:
            if self._process.ended:
                self._replace("out of time")

    def close(self) -> None:
        self._process.stop()
        self._slack.close()

    def _replace(self, why: str) -> None:
        self.ends[why] += 1
        self._process = self._started()

    def _started(self) -> Process:
        log = self._logs / f"{self._name}.{self.ends.total()}.log"
        options = ("--compression", str(COMPRESSION), "--slack-timeout", str(SLACK_TIMEOUT_SECONDS))
        return Process((*WORKER, *options), self._environ, log)


class Redelivering:
    """A WSGI application around AWS's. It sometimes redelivers a finished job, as a standard queue can."""

    def __init__(self, application: WSGIApplication, seed: int) -> None:
        self._application = application
        self._random = Random(f"queue {seed}")  # noqa: S311 - reproducible, not secret

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        finished = environ.get("HTTP_X_AMZ_TARGET") == "AmazonSQS.DeleteMessage"
        if finished and self._random.random() < REDELIVERED:
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            start_response("200 OK", [("Content-Type", "application/x-amz-json-1.0")])
            return [b"{}"]
        return self._application(environ, start_response)
