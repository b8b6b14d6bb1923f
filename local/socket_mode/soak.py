"""`python -m local.socket_mode.soak`: send thousands of envelopes through Socket Mode with random faults.

The bot is a process, as `make socket` starts it. Envelopes are duplicated, acknowledgements are lost, connections are
refreshed, closed, reset or lost without notice, calls to Slack fail, and the process is killed. Afterwards each message
must have one verdict, and no job may be left. `SPEED` divides the bot's delays.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated

import typer

from local.bot import BotError, Process, verdicts, wait_for
from local.faults import Faults
from local.soak.checks import Results, check_logs, check_threads
from local.soak.users import TEXTS, Size, Users
from local.soak.workers import RandomFaults
from local.socket_mode.aws import SqliteQueue
from local.socket_mode.file import SqliteFile
from local.socket_mode.server import Link, SocketModeSlack

if TYPE_CHECKING:
    from collections.abc import Callable

SPEED = 10.0
RESEND_SECONDS = 3 / SPEED
SLOW_SECONDS = 0.5  # for a call that is slow on purpose
SENT_TWICE, ACKS_LOST = 0.1, 0.1  # fractions of the envelopes
LINK_FAULTS = 0.05  # fraction of the envelopes that are followed by a fault of the connection
# Slack announces the end of the connection or closes it, or the connection is lost, with a reset or without notice.
LINK_FAULT: dict[str, Callable[[Link], object]] = {
    "warning": lambda link: link.disconnect("warning"),
    "refresh": lambda link: link.disconnect("refresh_requested"),
    "closed": lambda link: link.close(),
    "reset": lambda link: link.drop(reset=True),
    "lost": lambda link: link.drop(),
}
ENVELOPES_PER_KILL = 50
MAX_WAITING = 20  # unacknowledged envelopes
MAX_STALL_SECONDS = 120.0
MAX_PROBLEMS_SHOWN = 10


class SocketSoak:
    """A bot in Socket Mode under test. Call `run` once."""

    def __init__(self, seed: int, envelopes: int, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0
        self._random = Random(seed)  # noqa: S311 - reproducible, not secret
        self._seed, self._envelopes = seed, envelopes
        self._users = Users(seed, Size(envelopes, envelopes))
        self._slack = SocketModeSlack(self._users.workspace, resend_seconds=RESEND_SECONDS, drop_ack=self._lose_ack)
        self._file, self._logs = folder / "bot.sqlite3", folder
        self._killed = threading.Event()

    def run(self) -> Results:
        """Send the envelopes, wait until each message has its verdict, and check the results."""
        with self._slack:
            self._bot = self._started()
            self._bot.wait_until_ready()
            started = time.monotonic()
            self._slack.faults = RandomFaults(f"socket {self._seed}", self._kill, SLOW_SECONDS)
            for number in range(self._envelopes):
                self._wait(lambda: self._slack.unacknowledged < MAX_WAITING)
                self._send(number)
            self._wait(lambda: not self._slack.unacknowledged)
            self._wait(lambda: len(verdicts(self._users.workspace)) == self._envelopes)
            self.seconds = time.monotonic() - started
            self._slack.faults = Faults()
            self._bot.stop()
            self._bot = self._started("--drain")
            self._wait(lambda: self._bot.ended)
        return self._checked()

    def _send(self, number: int) -> None:
        payload = self._users.react(number, 0)
        if payload is None:
            raise BotError(f"message {number} is gone")
        self._users.acknowledged(number, time.monotonic())
        twice = self._random.random() < SENT_TWICE
        self.counts["sent twice"] += twice
        self._slack.send(payload, copies=1 + twice)
        if number % ENVELOPES_PER_KILL == ENVELOPES_PER_KILL // 2:
            self._kill()
        if self._random.random() < LINK_FAULTS:
            self._cause_link_fault()

    def _cause_link_fault(self) -> None:
        """Cause a random fault in the newest connection."""
        name = self._random.choice([*LINK_FAULT])
        for link in self._slack.links[-1:]:
            self.counts[f"connection {name}"] += 1
            LINK_FAULT[name](link)

    def _lose_ack(self) -> bool:
        """Decide at random whether an acknowledgement is lost."""
        lost = self._random.random() < ACKS_LOST
        self.counts["acknowledgement lost"] += lost
        return lost

    def _kill(self) -> None:
        self._killed.set()
        self._bot.kill()

    def _started(self, *options: str) -> Process:
        self._killed.clear()
        slack = {"SLACK_APP_TOKEN": self._slack.app_token, "SLACK_BOT_TOKEN": self._users.workspace.token}
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLACK_"))}
        command = ["local.socket_mode", "--file", str(self._file), "--speed", str(SPEED), *options]
        log = self._logs / f"bot{len([*self._logs.glob('*.log')])}.log"
        return Process(command, environ | slack | {"SLACK_API_URL": self._slack.url}, log)

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, and restart a killed bot. Raises BotError if it ends or makes no progress."""

        def done() -> int:
            if self._bot.ended:
                if not self._killed.is_set() and not self._bot.last_lines(1).startswith("Slack"):
                    raise BotError(f"the bot has ended; the end of its log:\n{self._bot.last_lines()}")
                self.counts["killed" if self._killed.is_set() else "ended at the start, since a call failed"] += 1
                self._bot = self._started()
            return len(self._slack.calls) + self._slack.deliveries.total()

        if not wait_for(condition, MAX_STALL_SECONDS, 0.05, done):
            raise BotError(f"the bot makes no progress; the end of its log:\n{self._bot.last_lines()}")

    def _checked(self) -> Results:
        results = Results()
        check_threads(self._users, results)
        secrets = [*(text for text, _ in TEXTS), self._users.workspace.token, self._slack.app_token]
        check_logs(self._logs, secrets, results)
        kept = b"".join(file.read_bytes() for file in self._logs.glob("bot.sqlite3*"))
        for secret in secrets:
            if secret.encode() in kept:
                results.add("leak", f"the file: {secret}")
        file = SqliteFile(self._file)
        queue = SqliteQueue(file)
        if left := queue.waiting() + queue.dead():
            results.add("dead letter", f"{left} jobs are left")
        file.close()
        return results


def main(
    envelopes: Annotated[int, typer.Option(min=1, help="The number of messages, each with one reaction.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="Determines the faults. Default: the current time.")] = None,
) -> None:
    """Send envelopes to a bot in Socket Mode. Exit with 1 unless every message has exactly one verdict."""
    seed = int(time.time()) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="socket-soak-") as folder:
        soak = SocketSoak(seed, envelopes, Path(folder))
        results = soak.run()
    print(f"seed {seed}: {envelopes} envelopes, {results.outcomes.total()} verdicts in {soak.seconds:.0f} s")
    print(f"  {', '.join(f'{name} {number}' for name, number in sorted((+soak.counts).items()))}")
    for problem in results.problems[:MAX_PROBLEMS_SHOWN]:
        print(f"  {problem}")
    raise typer.Exit(int(bool(results.problems) or results.outcomes.total() != envelopes))


if __name__ == "__main__":
    typer.run(main)
