"""`make socket` as a process, with a local Slack that serves Socket Mode over a real WebSocket."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from local.bot import verdicts
from local.events import event_callback
from local.faults import DROPPED, Call, ErrorBody, Fault, HtmlError, RateLimited, Reply, Reset
from local.functions import TIMEOUT_SECONDS
from local.socket_mode.aws import SqliteQueue
from local.socket_mode.file import SqliteFile
from local.socket_mode.server import SocketModeSlack
from local.socket_mode.soak import SPEED
from local.workspace import Workspace
from tests import ROOT, run_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from local.socket_mode.server import Link, Reason

    Start = Callable[..., "Running"]

INSULT = "You are a stupid idiot and everybody hates you."
NOWHERE = "http://127.0.0.1:9/api/"
NO_SOCKET = Fault(Reply.of({"ok": True, "url": "ws://127.0.0.1:9/"}))
SECONDS = 60  # until a test gives up


class Running:
    """A bot started as a command, with all delays divided by ten."""

    def __init__(self, slack: SocketModeSlack, file: Path, *options: str) -> None:
        command = [sys.executable, "-m", "local.socket_mode", "--file", str(file), "--speed", str(SPEED), *options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environ(slack), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.said = [self.process.stdout.readline() for _ in range(2)]

    def ended(self) -> tuple[int, str]:
        """Wait until the process ends by itself. Return its exit status and the last line of stderr."""
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors.splitlines()[-1]

    def stop(self) -> str:
        """Stop the process and return its stderr."""
        self.process.terminate()
        _, errors = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0
        return errors

    def close(self) -> None:
        with self.process:
            self.process.kill()


def environ(slack: SocketModeSlack, **others: str) -> dict[str, str]:
    """Return the environment of a bot, without the variables that other tests set for the whole session."""
    foreign = ("AWS_", "SLACK_", "JOBS_", "LEDGER_", "MODEL_DIR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    tokens = {"SLACK_APP_TOKEN": slack.app_token, "SLACK_BOT_TOKEN": slack.workspace.token}
    return kept | tokens | {"SLACK_API_URL": slack.url} | others


@pytest.fixture
def slack() -> Iterator[SocketModeSlack]:
    # On a slow machine an envelope is sent again before its acknowledgement: two jobs, but one verdict.
    with SocketModeSlack(Workspace.example(), resend_seconds=0.3) as slack:
        yield slack


@pytest.fixture
def start(slack: SocketModeSlack, tmp_path: Path) -> Iterator[Start]:
    """Start bots on the same file and stop them at the end of the test."""
    with ExitStack() as stack:

        def started(*options: str) -> Running:
            bot = Running(slack, tmp_path / "bot.sqlite3", *options)
            stack.callback(bot.close)
            return bot

        yield started


def reaction(slack: SocketModeSlack, text: str = INSULT, by: str = "U0GRACE") -> dict[str, Any]:
    """Return the event of a reaction to a new message."""
    ts = slack.workspace.post("C0GENERAL", "U0ADA", text)["ts"]
    return event_callback(slack.workspace.react("C0GENERAL", ts, by, "biohazard_sign"), slack.workspace.identity)


def outcomes(slack: SocketModeSlack) -> list[str]:
    posts = [post for found in verdicts(slack.workspace).values() for post in found]
    return [post["metadata"]["event_payload"]["outcome"] for post in posts]


def acknowledged(slack: SocketModeSlack, *envelopes: str) -> bool:
    return slack.wait_until(lambda: slack.answers.keys() >= {*envelopes}, SECONDS)


def drained(start: Start) -> None:
    """Run a bot until no jobs are left."""
    assert start("--drain").process.wait(timeout=SECONDS) == 0


def unfinished_jobs(bot: Running) -> int:
    """Return how many jobs the bot found in its file when it started."""
    found = re.search(r"resuming (\d+) unfinished jobs", bot.said[1])
    assert found, bot.said
    return int(found[1])


@pytest.mark.failure(131)
def test_an_event_delivered_twice_gets_one_verdict(slack: SocketModeSlack, start: Start) -> None:
    bot = start()
    assert bot.said[0].startswith("Connected to local: /invite @toxicity in a channel and react with :biohazard_sign:.")
    payload = reaction(slack)
    assert acknowledged(slack, slack.send(payload, copies=2), slack.send(payload))
    bot.stop()
    drained(start)
    assert outcomes(slack) == ["toxic"]


@pytest.mark.failure(130)
def test_envelopes_that_need_no_job_are_acknowledged(slack: SocketModeSlack, start: Start) -> None:
    bot = start()
    payload = reaction(slack)
    payload["event"]["reaction"] = "tada"
    others = [slack.send(payload), slack.send({"type": "unheard_of"}), slack.send({"no": "type"}, "interactive")]
    assert acknowledged(slack, *others, slack.send({"command": "/unknown", "text": INSULT}, "slash_commands"))
    bot.stop()
    assert unfinished_jobs(start()) == 0
    assert outcomes(slack) == []


@pytest.mark.failure(131)
def test_a_closed_connection_is_replaced_and_no_event_is_lost(slack: SocketModeSlack, start: Start) -> None:
    """Slack announces the end of a connection or closes it, or the connection is reset or goes silent."""
    bot = start()
    ends: list[Callable[[Link], object]] = [
        lambda link: link.disconnect("warning"),
        lambda link: link.disconnect("refresh_requested"),
        lambda link: link.close(),
        lambda link: link.drop(reset=True),
        lambda link: link.drop(),
    ]
    for end in ends:
        assert slack.wait_until(lambda: bool(slack.links), SECONDS)
        link = slack.links[-1]
        slack.faults.add("apps.connections.open", Reset())
        slack.faults.add("apps.connections.open", ErrorBody("internal_error"))
        end(link)
        envelope = slack.send(reaction(slack))
        assert acknowledged(slack, envelope)
        # After the announcement the connection stays until Slack closes it, because no new one can be opened.
        link.drop()
        assert slack.wait_until(lambda link=link: bool(slack.links) and link not in slack.links, SECONDS)  # type: ignore[misc]
    assert slack.faults.left() == 0
    said = bot.stop().splitlines()
    assert all(line.endswith("The bot keeps trying.") for line in said[::2])
    assert said[1::2] == ["Connected again."] * len(ends)


@pytest.mark.failure(130, 132)
@pytest.mark.parametrize("posted", [False, True])
def test_a_job_interrupted_by_a_kill_continues_after_a_restart(
    posted: bool, slack: SocketModeSlack, start: Start
) -> None:
    bot = start()
    slack.faults.add("chat.postMessage", Fault(DROPPED, before_work=not posted, function=bot.process.kill))
    envelope = slack.send(reaction(slack))
    assert bot.process.wait(timeout=SECONDS) == -signal.SIGKILL
    assert envelope in slack.answers, "the job must be on the disk before it is handled"
    again = start("--drain")
    assert 1 <= unfinished_jobs(again) <= slack.deliveries[envelope]
    assert again.process.wait(timeout=SECONDS) == 0
    assert outcomes(slack) == ["toxic"]


@pytest.mark.failure(130, 134)
def test_an_envelope_whose_job_does_not_fit_on_the_disk_is_refused(slack: SocketModeSlack, start: Start) -> None:
    bot = start()
    resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (0, 0))  # from now on no file can grow
    envelope = slack.send(reaction(slack))
    status, sentence = bot.ended()
    assert status == 1
    assert "bot.sqlite3 cannot be read or written (disk I/O error): check the disk" in sentence
    assert envelope not in slack.answers
    start()
    assert acknowledged(slack, envelope)


def test_shortcuts_and_commands_are_answered_without_writing_their_text_to_disk(
    slack: SocketModeSlack, start: Start, tmp_path: Path
) -> None:
    """The bot cannot fetch these texts: it is not in the shortcut's channel, and a command is not a message."""
    start()
    message = slack.workspace.post("C0RANDOM", "U0GRACE", INSULT)
    shortcut = slack.message_action("check_toxicity", "C0RANDOM", message["ts"], "U0ADA")
    command = slack.slash_command(INSULT, "C0GENERAL", "U0GRACE")
    command.pop("type", None)  # Slack sends no type
    answers = threading.Semaphore(0)
    slack.faults.add("response_url", Call(answers.release, before_work=False), times=2)
    assert acknowledged(slack, slack.send(shortcut, "interactive"), slack.send(command, "slash_commands"))
    assert all(answers.acquire(timeout=SECONDS) for _ in range(2))
    assert {one["user"] for one in slack.workspace.ephemerals} == {"U0ADA", "U0GRACE"}
    assert all("Likely toxic" in one["text"] for one in slack.workspace.ephemerals)
    assert all(INSULT.encode() not in file.read_bytes() for file in tmp_path.glob("bot.sqlite3*"))


def test_rate_limited_calls_are_retried(slack: SocketModeSlack, start: Start) -> None:
    start()
    slack.faults.add("conversations.history", RateLimited("3"), times=2)
    slack.send(reaction(slack))
    posted = threading.Event()
    slack.faults.add("chat.postMessage", Call(posted.set, before_work=False))
    assert posted.wait(SECONDS)
    assert outcomes(slack) == ["toxic"]
    assert [call.status for call in slack.calls_of("conversations.history")] == [429, 429, 200]


@pytest.mark.failure(132)
def test_a_job_that_times_out_is_stopped_and_retried(slack: SocketModeSlack, start: Start) -> None:
    bot, read = start(), threading.Event()
    slack.faults.add("conversations.history", Fault(seconds=1.2 * TIMEOUT_SECONDS / SPEED, function=read.set))
    slack.send(reaction(slack))
    assert read.wait(SECONDS)
    bot.stop()
    drained(start)
    assert outcomes(slack) == ["toxic"]
    assert len(slack.calls_of("conversations.history")) >= 2


@pytest.mark.failure(133)
def test_a_second_bot_on_the_same_file_is_refused(slack: SocketModeSlack, start: Start, tmp_path: Path) -> None:
    start()
    file = tmp_path / "bot.sqlite3"
    ended = run_module("local.socket_mode", "--file", str(file), environ=environ(slack))
    assert ended.returncode == 1
    assert ended.stderr == f"{file} is in use: stop the other bot that uses it, or choose another file with FILE=.\n"


@pytest.mark.failure(133)
@pytest.mark.parametrize(
    ("cause", "status", "sentence"),
    [
        ({"SLACK_APP_TOKEN": ""}, 2, "SLACK_APP_TOKEN is not set: copy it from Basic Information, App-Level Tokens"),
        ({"SLACK_BOT_TOKEN": "xapp-1"}, 2, "SLACK_BOT_TOKEN must begin with xoxb-: copy it from OAuth & Permissions"),
        ({"SLACK_APP_TOKEN": "xapp-no"}, 2, "SLACK_APP_TOKEN is refused by Slack (invalid_auth): copy it from Basic"),
        ({"SLACK_BOT_TOKEN": "xoxb-no"}, 2, "SLACK_BOT_TOKEN is refused by Slack (invalid_auth): copy it from OAuth"),
        ({"SLACK_API_URL": NOWHERE}, 1, "Slack cannot be reached (Connection refused): check the network."),
        ({"TRIGGER_EMOJI": "☣️"}, 2, "TRIGGER_EMOJI has '☣️', which is not an emoji name: write biohazard_sign."),
        (ErrorBody("internal_error"), 1, "Slack answers internal_error: try again later.\n"),
        (HtmlError(502), 1, "Slack answers with status 502 and no error code: try again later.\n"),
        (NO_SOCKET, 1, "Slack's WebSocket cannot be opened: does the network block it?\n"),
    ],
)
def test_a_failed_start_is_explained_in_one_sentence(
    cause: dict[str, str] | Fault, status: int, sentence: str, slack: SocketModeSlack, tmp_path: Path
) -> None:
    if isinstance(cause, Fault):
        slack.faults.add("apps.connections.open", cause)
    variables = cause if isinstance(cause, dict) else {}
    file = str(tmp_path / "bot.sqlite3")
    ended = run_module("local.socket_mode", "--file", file, environ=environ(slack, **variables))
    assert (ended.returncode, ended.stderr.count("\n")) == (status, 1), ended.stderr
    assert ended.stderr.startswith(sentence)


@pytest.mark.failure(133)
@pytest.mark.parametrize(
    ("reason", "status", "sentence"),
    [
        ("link_disabled", 1, "Socket Mode is off for this app"),
        ("refresh_requested", 2, "SLACK_APP_TOKEN is refused by Slack (invalid_auth)"),
    ],
)
def test_disabling_socket_mode_or_revoking_the_token_stops_the_bot(
    reason: Reason, status: int, sentence: str, slack: SocketModeSlack, start: Start
) -> None:
    bot = start()
    if reason == "refresh_requested":
        slack.app_token = "xapp-another"
    slack.links[-1].disconnect(reason)
    ended, said = bot.ended()
    assert (ended, said.split(":")[0]) == (status, sentence)


def test_ctrl_c_stops_the_bot_with_a_message_and_its_job_is_kept(
    slack: SocketModeSlack, start: Start, tmp_path: Path
) -> None:
    bot = start()
    slack.faults.add("conversations.history", Call(lambda: bot.process.send_signal(signal.SIGINT)))
    envelope = slack.send(reaction(slack))
    assert bot.ended() == (130, "Stopped.")
    file = SqliteFile(tmp_path / "bot.sqlite3")
    assert 1 <= SqliteQueue(file).waiting() <= slack.deliveries[envelope]
    file.close()
    drained(start)
    assert outcomes(slack) == ["toxic"]


@pytest.mark.failure(131)
def test_envelopes_get_one_verdict_each_despite_injected_failures() -> None:
    """docs/socket_mode.md has the result for 1,000 envelopes."""
    soak = run_module("local.socket_mode.soak", "--envelopes", "30", "--seed", "1")
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert "30 envelopes, 30 verdicts" in soak.stdout
