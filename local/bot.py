"""Run the whole bot on one machine: a local Slack, embedded AWS, and the receiver and the worker as processes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from local.aws import EmbeddedAws
from local.functions import TIMEOUT_SECONDS
from local.slack_server import SlackServer
from toxicity_bot import errors
from toxicity_bot.model_directory import ModelDirectory
from toxicity_bot.settings import Settings, Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from local.workspace import Message, Workspace

ROOT = Path(__file__).parent.parent
# Seconds. Python runs signal handlers in the main thread, which a signal to another thread does not wake.
SIGNAL_PAUSE = 0.2
RECEIVER, WORKER = ("local.functions", "receiver"), ("local.functions", "worker")


class BotError(errors.BotError):
    """Raised if a part of the bot does not start or does not work. The message contains the end of its log."""


class WrongInputError(BotError):
    """Raised if a part of the bot cannot start because of a setting or a file. The message is from that part."""

    exit_status = 2


class Process:
    """A process that runs a Python module. The module writes a line to the socket `--ready-fd` when it is ready.

    The socket stays open as long as this process lives, so that the other one can end with it.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], log: Path, pass_fds: Sequence[int] = ()
    ) -> None:
        self.command, self.log = " ".join(command), log
        self._ready, theirs = socket.socketpair()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command, "--ready-fd", str(theirs.fileno())],
                cwd=ROOT, env=dict(environ), stdout=output, stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(), *pass_fds),
                process_group=0,  # so that Ctrl-C reaches only this process, which then stops the other
            )  # fmt: skip
        theirs.close()

    def wait_until_ready(self) -> str:
        """Return the line that the process writes when it is ready. Raises BotError if it ends before."""
        with self._ready.makefile() as lines:
            line = lines.readline().strip()
        if not line:
            code = self._process.wait()
            if code == errors.SettingError.exit_status:
                raise WrongInputError(self.last_lines(1))
            raise BotError(f"{self.command} ended with exit code {code}:\n{self.last_lines()}")
        return line

    def last_lines(self, number: int = 5) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-number:])

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def processor_seconds(self) -> float:
        """Return the CPU time of the process, which other programs hardly affect. Linux only."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """Send SIGKILL, as the out-of-memory killer does."""
        self._process.kill()
        self._process.wait()
        self._ready.close()

    def stop(self) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self.kill()


class LocalBot:
    """A running bot for one workspace. Slack sends its events to `request_url`.

    `slack` and `aws` must not be started yet. `compression` divides the worker's timeout and the delays between the
    attempts at a job.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        slack: SlackServer | None = None,
        aws: EmbeddedAws | None = None,
        compression: int = 1,
    ) -> None:
        self.workspace = workspace
        self._servers = slack, aws
        self._compression = compression

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="toxicity-bot-")))
            slack, aws = self._servers
            self.aws = stack.enter_context(aws or EmbeddedAws())
            self.slack = stack.enter_context(slack or SlackServer(self.workspace))
            if self._compression > 1:
                self.aws.set_visibility_timeout(TIMEOUT_SECONDS // self._compression + 1)
            # Opened here, so that invocations wait while no worker runs, as they do in Lambda.
            self._invocations = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            # Start both at the same time: each needs most of a second to load.
            self._stack = stack
            receiver, self.worker = self.start(RECEIVER), self.start(WORKER)
            self.request_url = f"http://127.0.0.1:{receiver.wait_until_ready()}/slack/events"
            self.worker.wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def restart_worker(self) -> None:
        """Start a worker to replace one that ended."""
        self.worker = self.start(WORKER)
        self.worker.wait_until_ready()

    def wait_until_idle(self, timeout: float = 10, pause: float = 0.02) -> None:
        """Wait until the queue is empty, checking every `pause` seconds. Raises BotError after `timeout` seconds."""
        self.wait_until(lambda: not self.aws.waiting(), "jobs are left on the queue", timeout, pause)

    def wait_for_private(self, before: int, timeout: float = 10) -> list[Message]:
        """Wait until there are more than `before` private answers. Return the new ones."""
        self.wait_until(lambda: len(self.workspace.ephemerals) > before, "no private answer", timeout)
        return self.workspace.ephemerals[before:]

    def wait_until(
        self, condition: Callable[[], bool], otherwise: str, timeout: float = 10, pause: float = 0.002
    ) -> None:
        """Wait for a condition. Raises BotError with the end of the worker's log after `timeout` seconds."""
        if not wait_for(condition, timeout, pause):
            log = self.worker.last_lines()
            raise BotError(f"{otherwise} after {timeout:.0f} s; the end of the worker's log:\n{log}")

    def start(self, command: Sequence[str]) -> Process:
        """Start a receiver or a worker without waiting until it is ready."""
        environ = bot_environ(self.aws, self.workspace) | {"SLACK_API_URL": self.slack.url}
        environ |= {"WORKER_FUNCTION": "worker", "AWS_ENDPOINT_URL_LAMBDA": address(self._invocations)}
        log, listening = self.logs / f"{command[-1]}.log", self._invocations.fileno()
        if command == WORKER:
            options = ("--listen-fd", str(listening), "--compression", str(self._compression))
            process = Process([*command, *options], environ, log, [listening])
        else:
            process = Process(command, environ, log)
        self._stack.callback(process.stop)
        return process


def wait_for(
    condition: Callable[[], bool], timeout: float, pause: float, progress: Callable[[], object] = lambda: ""
) -> bool:
    """Wait for a condition. Return False if `progress` returns the same value for `timeout` seconds before that."""
    before, since = None, time.monotonic()
    while not condition():
        if (now := progress()) != before:
            before, since = now, time.monotonic()
        if time.monotonic() - since > timeout:
            return False
        time.sleep(pause)
    return True


def address(listener: socket.socket) -> str:
    """Return the URL of a socket that accepts HTTP on this machine."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def bot_environ(aws: EmbeddedAws, workspace: Workspace) -> dict[str, str]:
    """Return the variables of receiver and worker, except SLACK_API_URL. MODEL_DIR defaults to the shipped model.

    Raises the SettingError or ModelError that the functions would raise at their start.
    """
    secrets = {"SLACK_SIGNING_SECRET": workspace.signing_secret, "SLACK_BOT_TOKEN": workspace.token}
    model = str(Path(os.environ.get("MODEL_DIR") or ROOT / "model").absolute())
    environ = aws.environ | secrets | {"MODEL_DIR": model, "PYTHONUNBUFFERED": "1"}
    directory = ModelDirectory.read(Path(model))
    Settings.from_environ(environ).thresholds(Thresholds(directory.threshold, directory.threshold_maybe))
    return environ


def verdicts(workspace: Workspace, mark: str = "toxicity_verdict") -> dict[str, list[Message]]:
    """Return the bot's verdicts, or its posts with another mark, by the ts of the message they are about."""
    posts: dict[str, list[Message]] = defaultdict(list)
    for channel in workspace.channels:
        for post in workspace.conversation(channel.id):
            metadata = post.get("metadata", {})
            if metadata.get("event_type") == mark:
                posts[metadata["event_payload"]["key"].split("/")[2]].append(post)
    return posts
