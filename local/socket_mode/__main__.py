"""`make socket`: run the bot for a real workspace on this machine, without AWS.

Slack sends events through a WebSocket that this process opens. Receiver and worker are the functions of the cloud, with
queue and ledger in a SQLite file. An envelope is acknowledged once its job is in that file, so that Slack sends it
again after a crash before that; a job that is in the file ends, or becomes a dead letter after ten tries.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.client import WebClient

from local.functions import TIMEOUT_SECONDS, LocalContext, load, poll
from local.socket_mode.aws import SqliteQueue, SqliteTable, answer_locally
from local.socket_mode.file import SqliteFile
from toxicity_bot.errors import BotError, SettingError
from toxicity_bot.model_directory import embedded
from toxicity_bot.settings import Secret, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from slack_sdk.socket_mode.request import SocketModeRequest

FILE = Path("socket-mode.sqlite3")
# Seconds between pings. After five of them slack_sdk notices that a connection has died in silence.
PING_INTERVAL = 2.0
# Bytes that are read at once. slack_sdk calls itself again for each part of a message, and Python allows a thousand.
RECEIVE_BUFFER = 256 * 1024
# Where Slack shows the tokens, and how they begin.
TOKENS = {
    "SLACK_APP_TOKEN": ("xapp-", "Basic Information, App-Level Tokens; it needs the scope connections:write"),
    "SLACK_BOT_TOKEN": ("xoxb-", "OAuth & Permissions, Bot User OAuth Token"),
}
# Codes with which Slack refuses a call for the moment; others need a person.
TRANSIENT = {
    "fatal_error", "internal_error", "ratelimited", "request_timeout", "service_unavailable", "team_added_to_org",
}  # fmt: skip


class SocketError(BotError):
    """Raised if Slack cannot be reached, or not now."""


class _TimedOutError(BaseException):
    """Raised in an invocation that takes too long. Its job comes back, and its claims in the ledger have ended."""


def token(name: str, environ: Mapping[str, str]) -> Secret:
    """Return a token from the environment; raises SettingError if it is missing or another kind of token."""
    begins, place = TOKENS[name]
    value = environ.get(name, "").strip()
    if not value.startswith(begins):
        raise SettingError(name, f"{'must begin with ' + begins if value else 'is not set'}: copy it from {place}.")
    return Secret(value)


def answer(name: str, call: Callable[[], Any]) -> Any:
    """Return Slack's answer to a call with a token; raises SettingError if Slack refuses it."""
    try:
        return call()
    except SlackApiError as error:
        data, status = error.response.data, error.response.status_code
        code = str(data.get("error")) if isinstance(data, dict) else ""
        if not code.replace("_", "").isalnum():  # a page, of a proxy say
            raise SocketError(f"Slack answers with status {status} and no reason: try again later.") from None
        if status >= 429 or code in TRANSIENT:
            raise SocketError(f"Slack answers {code} for the moment: try again later.") from None
        raise SettingError(name, f"is refused by Slack ({code}): copy it from {TOKENS[name][1]}.") from None
    except (OSError, SlackClientError, ValueError) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or type(reason).__name__
        raise SocketError(f"Slack cannot be reached ({said}): is there a network?") from error


class SlackSocket(SocketModeClient):
    """The connection to Slack, which renews itself; `failure` is an error that nobody but a person can mend.

    `acknowledge` takes a payload and returns the response of the receiver; `ready` is set once Slack says hello.
    """

    def __init__(
        self,
        app_token: str,
        web_client: WebClient,
        acknowledge: Callable[[dict[str, Any]], Mapping[str, Any]],
        ping_interval: float = PING_INTERVAL,
    ) -> None:
        self.failure: BaseException | None = None
        self.ready = threading.Event()
        self._acknowledge = acknowledge
        self._trying = False
        super().__init__(
            app_token,
            _quiet(),
            web_client,
            ping_interval=ping_interval,
            receive_buffer_size=RECEIVE_BUFFER,
            on_message_listeners=[self._watch],
        )
        self.socket_mode_request_listeners.append(self._take)

    def issue_new_wss_url(self) -> str:
        """Ask Slack for an address; called at the start and for each new connection."""
        try:
            return str(answer("SLACK_APP_TOKEN", super().issue_new_wss_url))
        except SettingError as error:
            self.failure = error
            raise
        except SocketError as error:
            if self.ready.is_set() and not self._trying:
                self._trying = True
                print(f"{error} The bot goes on trying.", file=sys.stderr, flush=True)
            raise

    def _watch(self, raw: str) -> None:
        """Notice hello, and that Socket Mode was switched off, which no other listener is told."""
        with suppress(ValueError, AttributeError):
            message = json.loads(raw)
            if message.get("type") == "hello":
                self.ready.set()
                if self._trying:
                    self._trying = False
                    print("Connected again.", file=sys.stderr, flush=True)
            if message.get("type") == "disconnect" and message.get("reason") == "link_disabled":
                self.failure = SocketError("Socket Mode is off for this app: switch it on at api.slack.com/apps.")

    def _take(self, _client: object, request: SocketModeRequest) -> None:
        """Acknowledge an envelope once the receiver has done its part; otherwise Slack sends it again."""
        command = {"type": "slash_command"} if request.type == "slash_commands" else {}
        try:
            response = self._acknowledge(request.payload | command)
        except BaseException as error:  # raised again in the main thread
            self.failure = error
            return
        body = str(response.get("body") or "") if request.accepts_response_payload else ""
        payload = json.loads(body) if body.startswith("{") else None
        if response["statusCode"] == 200:
            with suppress(SlackClientError):  # the connection is gone: Slack sends the envelope again
                self.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))


class SocketBot:
    """The functions of the bot, with queue and ledger in a file."""

    def __init__(self, file: SqliteFile, clock: Callable[[], float] = time.time) -> None:
        self.path = file.path
        self.queue = SqliteQueue(file, clock, _print_dead_letters)
        self.receiver, self.worker = functions(file.path)
        for client in (self.receiver.queue, self.worker.queue):
            answer_locally(client, self.queue)
        answer_locally(self.worker.ledger.client, SqliteTable(file))
        self.receiver.invocation.invoke_worker = self._hand_over
        self._turn = threading.Lock()
        self._pool = ThreadPoolExecutor(1, "answers")

    def work(self, socket: SlackSocket, ends: Callable[[], bool], timeout: float = TIMEOUT_SECONDS) -> None:
        """Judge jobs, one at a time, until `ends` says so. One suffices, since Slack allows 50 reads a minute."""
        signal.signal(signal.SIGALRM, _time_out)
        while not ends():
            if socket.failure:
                raise socket.failure
            with suppress(_TimedOutError):
                poll(self.worker.queue, str(self.path), self.worker.handler, 1, timeout, self._turn)

    def _hand_over(self, _function: str, ask: Any) -> str:
        """Let the worker answer with the text that came along, which stays in memory; a backup job comes later."""
        self._pool.submit(self._answer, {"ask": {"job": ask.job.to_json(), "given": ask.content}})
        return "answered"

    def _answer(self, event: dict[str, Any]) -> None:
        with self._turn:
            self.worker.handler(event, LocalContext("worker"))


def functions(path: Path) -> tuple[Any, Any]:
    """Import receiver and worker, which read the environment and make clients of AWS, with which nobody is called."""
    os.environ.pop("SLACK_SECRET_ID", None)
    os.environ |= {
        "SLACK_SIGNING_SECRET": secrets.token_hex(),  # no request is signed
        "JOBS_QUEUE_URL": str(path),
        "LEDGER_TABLE": "rows",
        "WORKER_FUNCTION": "worker",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_DEFAULT_REGION": "local",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    os.environ.setdefault("MODEL_DIR", str(embedded()))
    os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
    return load("receiver"), load("worker")


def _quiet() -> logging.Logger:
    """Return a logger that says nothing: slack_sdk's lines quote addresses with tickets, and messages."""
    quiet = logging.getLogger("slack_sdk.quiet")
    quiet.setLevel(logging.CRITICAL)
    return quiet


def _print_dead_letters(number: int) -> None:
    print(
        f"{number} more failed ten times, now dead letters: REDRIVE=yes tries them again.", file=sys.stderr, flush=True
    )


def _time_out(*_: object) -> None:
    raise _TimedOutError


def main(
    file: Annotated[Path, typer.Option(help="Where jobs and verdicts are remembered.")] = FILE,
    *,
    redrive: Annotated[bool, typer.Option(help="Give dead letters ten tries more.")] = False,
    ready_fd: Annotated[int | None, typer.Option(hidden=True, help="A descriptor that gets a line.")] = None,
    speed: Annotated[float, typer.Option(hidden=True, help="Divides all delays, for the soak.")] = 1,
    drain: Annotated[bool, typer.Option(hidden=True, help="End when no job is left.")] = False,
) -> None:
    """Run the bot for a workspace through Socket Mode; SLACK_APP_TOKEN and SLACK_BOT_TOKEN are its tokens."""
    app_token, bot_token = (token(name, os.environ) for name in TOKENS)
    settings = Settings.from_environ(os.environ)
    opened = SqliteFile(file)
    web_client = WebClient(bot_token, settings.api_url, timeout=10, retry_handlers=[], logger=_quiet())
    me = answer("SLACK_BOT_TOKEN", web_client.auth_test)
    bot = SocketBot(opened, clock=lambda: time.time() * speed)
    if redrive:
        bot.queue.redrive()
    socket = SlackSocket(app_token, web_client, bot.receiver.acknowledge, PING_INTERVAL / speed)
    socket.connect()
    if not socket.is_connected() or not socket.ready.wait(timeout=10):
        raise socket.failure or SocketError("Slack's WebSocket cannot be opened: is there a network without a filter?")
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    emoji = settings.trigger_emoji[0]
    print(f"Connected to {me['team']}: /invite @{me['user']} in a channel and react with :{emoji}:. Ctrl-C stops.")
    left, dead = bot.queue.waiting(), bot.queue.dead()
    dead_letters = f"; {dead} dead letters, which REDRIVE=yes tries again" if dead else ""
    print(f"{file}: {left} unfinished jobs go on{dead_letters}.", flush=True)
    if ready_fd is not None:
        os.write(ready_fd, b"ready\n")
    bot.work(socket, lambda: bool(stopping) or (drain and not bot.queue.waiting()), TIMEOUT_SECONDS / speed)


if __name__ == "__main__":
    typer.run(main)
