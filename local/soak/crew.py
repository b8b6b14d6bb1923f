"""The workers of a soak: processes that are killed at any moment, and replaced.

Each has a door to Slack of its own, so that what happens at a call can end the very process that made it.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from local.bot import Process
from local.faults import DROPPED, Postponed
from local.lambda_context import load
from local.slack_server import SlackServer
from local.soak.weather import Weather
from local.soak.worker import COMPRESSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from local.faults import Reply
    from local.soak.people import People

SLACK_PATIENCE_SECONDS = load("slack_messages").TIMEOUT_SECONDS / COMPRESSION


class Door(SlackServer):
    """Slack as one worker meets it."""

    def __init__(self, people: People, weather: Weather) -> None:
        super().__init__(people.workspace)
        self._people = people
        self.faults = weather

    def answer(self, method: str, token: str | None, arguments: dict[str, Any]) -> Reply:
        if mark := arguments.get("metadata"):
            self._people.meddle(mark["event_payload"]["key"].split("/")[2])
        reply = super().answer(method, token, arguments)
        if isinstance(reply, Postponed):
            threading.Timer(reply.seconds, self.run, (method, token, arguments)).start()
            return DROPPED
        return reply


class Worker:
    """One place in the crew: its door, and the process that has it now."""

    def __init__(self, name: str, people: People, environ: Mapping[str, str], logs: Path) -> None:
        self.weather = Weather(name, self.kill, SLACK_PATIENCE_SECONDS)
        self.ends: Counter[str] = Counter()
        self._door = Door(people, self.weather).start()
        self._environ = {**environ, "SLACK_API_URL": self._door.url}
        self._name, self._logs = name, logs
        self._lock = threading.Lock()
        self._process = self._started()

    def kill(self) -> None:
        """End the process with SIGKILL, and start another one."""
        with self._lock:
            self._process.kill()
            self._replace("killed")

    def mend(self) -> None:
        """Start another process if this one has ended by itself, which running out of time makes it do."""
        with self._lock:
            if self._process.ended:
                self._replace("out of time")

    def close(self) -> None:
        self._process.stop()
        self._door.close()

    def _replace(self, why: str) -> None:
        self.ends[why] += 1
        self._process = self._started()

    def _started(self) -> Process:
        number = self.ends.total()
        arguments = ("--seed", f"{self._name} {number}")
        return Process("local.soak.worker", self._environ, self._logs / f"{self._name}.{number}.log", arguments)
