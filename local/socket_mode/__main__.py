"""`make socket`: run the bot for a real workspace on this machine, without AWS.

Slack sends events through a WebSocket that this process opens. The receiver and the worker are the Lambda functions,
with their queue and ledger in a SQLite file. An envelope is acknowledged when its job is in that file. If the process
crashes earlier, Slack sends the envelope again. A job in the file is retried until it ends, or becomes a dead letter
after ten attempts.
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
from toxicity_bot.command_line import signals_to_end
from toxicity_bot.errors import BotError, SettingError
from toxicity_bot.model_directory import embedded
from toxicity_bot.settings import Secret, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from slack_sdk.socket_mode.request import SocketModeRequest

FILE = Path("socket-mode.sqlite3")
# Seconds between pings. slack_sdk detects a silently lost connection after five of them.
PING_INTERVAL = 2.0
# Bytes per read. slack_sdk recurses for each part of a message, and Python's recursion limit is 1,000.
RECEIVE_BUFFER = 256 * 1024
# The prefix of each token, and where Slack shows it.
TOKENS = {
    "SLACK_APP_TOKEN": ("xapp-", "Basic Information, App-Level Tokens; it needs the scope connections:write"),
    "SLACK_BOT_TOKEN": ("xoxb-", "OAuth & Permissions, Bot User OAuth Token"),
}
# Error codes of temporary failures. For all others, a person must change something.
TRANSIENT = {
    "fatal_error", "internal_error", "ratelimited", "request_timeout", "service_unavailable", "team_added_to_org",
}  # fmt: skip


class SocketError(BotError):
    """Raised if Slack cannot be reached, or fails temporarily."""


class _TimedOutError(BaseException):
    """Raised in an invocation that times out. Its job is delivered again, after its claims in the ledger expired."""


def token(name: str, environ: Mapping[str, str]) -> Secret:
    """Return a token from the environment. Raises SettingError if it is missing or of the wrong kind."""
    begins, place = TOKENS[name]
    value = environ.get(name, "").strip()
    if not value.startswith(begins):
        raise SettingError(name, f"{'must begin with ' + begins if value else 'is not set'}: copy it from {place}.")
    return Secret(value)


def answer(name: str, call: Callable[[], Any]) -> Any:
    """Call Slack and return its answer. Raises SettingError if Slack refuses the token in the variable `name`."""
    try:
        return call()
    except SlackApiError as error:
        data, status = error.response.data, error.response.status_code
        code = str(data.get("error")) if isinstance(data, dict) else ""
        if not code.replace("_", "").isalnum():  # an HTML page, for example of a proxy
            raise SocketError(f"Slack answers with status {status} and no error code: try again later.") from None
        if status >= 429 or code in TRANSIENT:
            raise SocketError(f"Slack answers {code}: try again later.") from None
        raise SettingError(name, f"is refused by Slack ({code}): copy it from {TOKENS[name][1]}.") from None
    except (OSError, SlackClientError, ValueError) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or type(reason).__name__
        raise SocketError(f"Slack cannot be reached ({said}): check the network.") from error


class SlackSocket(SocketModeClient):
    """The connection to Slack, which reconnects by itself. `failure` is an error that only a person can fix.

    `acknowledge` takes a payload and returns the receiver's response. `ready` is set when Slack sends hello.
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
        self._reconnecting = False
        super().__init__(
            app_token,
            _disabled_logger(),
            web_client,
            ping_interval=ping_interval,
            receive_buffer_size=RECEIVE_BUFFER,
            on_message_listeners=[self._watch_messages],
        )
        self.socket_mode_request_listeners.append(self._acknowledge_request)

    def issue_new_wss_url(self) -> str:
        """Ask Slack for a WebSocket URL. slack_sdk calls this for each new connection."""
        try:
            return str(answer("SLACK_APP_TOKEN", super().issue_new_wss_url))
        except SettingError as error:
            self.failure = error
            raise
        except SocketError as error:
            if self.ready.is_set() and not self._reconnecting:
                self._reconnecting = True
                print(f"{error} The bot keeps trying.", file=sys.stderr, flush=True)
            raise

    def _watch_messages(self, raw: str) -> None:
        """Handle hello messages, and the message that Socket Mode was turned off."""
        with suppress(ValueError, AttributeError):
            message = json.loads(raw)
            if message.get("type") == "hello":
                self.ready.set()
                if self._reconnecting:
                    self._reconnecting = False
                    print("Connected again.", file=sys.stderr, flush=True)
            if message.get("type") == "disconnect" and message.get("reason") == "link_disabled":
                self.failure = SocketError("Socket Mode is off for this app: turn it on at api.slack.com/apps.")

    def _acknowledge_request(self, _client: object, request: SocketModeRequest) -> None:
        """Acknowledge an envelope if the receiver accepted it. Otherwise Slack sends it again."""
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
    """The bot's functions, with their queue and ledger in a file."""

    def __init__(self, file: SqliteFile, clock: Callable[[], float] = time.time) -> None:
        self.path = file.path
        self.queue = SqliteQueue(file, clock, _print_dead_letters)
        self.receiver, self.worker = functions(file.path)
        for client in (self.receiver.queue, self.worker.queue):
            answer_locally(client, self.queue)
        answer_locally(self.worker.ledger.table.client, SqliteTable(file))
        self.receiver.invocation.invoke_worker = self._answer_from_memory
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, "answers")

    def work(self, socket: SlackSocket, ends: Callable[[], bool], timeout: float = TIMEOUT_SECONDS) -> None:
        """Run jobs one at a time until `ends()` is true. One is enough, since Slack allows 50 reads a minute."""
        signal.signal(signal.SIGALRM, _time_out)
        while not ends():
            if socket.failure:
                raise socket.failure
            with suppress(_TimedOutError):
                poll(self.worker.queue, str(self.path), self.worker.handler, 1, timeout, self._lock)

    def _answer_from_memory(self, _function: str, ask: Any) -> str:
        """Let the worker answer from memory with the text in the request. A backup job comes later."""
        self._pool.submit(self._answer, {"ask": {"job": ask.job.to_json(), "given": ask.content}})
        return "answered"

    def _answer(self, event: dict[str, Any]) -> None:
        with self._lock:
            self.worker.handler(event, LocalContext("worker"))


def functions(path: Path) -> tuple[Any, Any]:
    """Import the receiver and the worker, which read the environment. Their AWS clients never connect."""
    for name in ("SLACK_SECRET_ID", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        os.environ.pop(name, None)
    os.environ |= {
        "SLACK_SIGNING_SECRET": secrets.token_hex(),  # no request is signed
        "JOBS_QUEUE_URL": str(path),
        "LEDGER_TABLE": "rows",
        "WORKER_FUNCTION": "worker",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_DEFAULT_REGION": "local",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    os.environ["MODEL_DIR"] = os.environ.get("MODEL_DIR") or str(embedded())
    os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
    return load("receiver"), load("worker")


def _disabled_logger() -> logging.Logger:
    """Return a disabled logger, since slack_sdk logs URLs with tickets, and messages."""
    quiet = logging.getLogger("slack_sdk.quiet")
    quiet.setLevel(logging.CRITICAL)
    return quiet


def _print_dead_letters(number: int) -> None:
    message = f"{number} jobs failed ten times and are now dead letters: REDRIVE=yes retries them."
    print(message, file=sys.stderr, flush=True)


def _time_out(*_: object) -> None:
    raise _TimedOutError


def main(
    file: Annotated[Path, typer.Option(help="The file for jobs and verdicts.")] = FILE,
    *,
    redrive: Annotated[bool, typer.Option(help="Give dead letters ten more attempts.")] = False,
    ready_fd: Annotated[
        int | None, typer.Option(hidden=True, help="A descriptor that gets a line when the bot is ready.")
    ] = None,
    speed: Annotated[float, typer.Option(hidden=True, help="Divide all delays by this, for the soak.")] = 1,
    drain: Annotated[bool, typer.Option(hidden=True, help="Exit when no job is left.")] = False,
) -> None:
    """Run the bot for a workspace through Socket Mode, with the tokens SLACK_APP_TOKEN and SLACK_BOT_TOKEN."""
    app_token, bot_token = (token(name, os.environ) for name in TOKENS)
    settings = Settings.from_environ(os.environ)
    opened = SqliteFile(file)
    web_client = WebClient(bot_token, settings.api_url, timeout=10, retry_handlers=[], logger=_disabled_logger())
    me = answer("SLACK_BOT_TOKEN", web_client.auth_test)
    bot = SocketBot(opened, clock=lambda: time.time() * speed)
    if redrive:
        bot.queue.redrive()
    socket = SlackSocket(app_token, web_client, bot.receiver.acknowledge, PING_INTERVAL / speed)
    socket.connect()
    if not socket.is_connected() or not socket.ready.wait(timeout=10):
        raise socket.failure or SocketError("Slack's WebSocket cannot be opened: does the network block it?")
    stopping = signals_to_end()
    emoji = settings.trigger_emoji[0]
    print(f"Connected to {me['team']}: /invite @{me['user']} in a channel and react with :{emoji}:. Ctrl-C stops.")
    left, dead = bot.queue.waiting(), bot.queue.dead()
    dead_letters = f"; {dead} dead letters, which REDRIVE=yes retries" if dead else ""
    print(f"{file}: resuming {left} unfinished jobs{dead_letters}.", flush=True)
    if ready_fd is not None:
        os.write(ready_fd, b"ready\n")
    bot.work(socket, lambda: bool(stopping) or (drain and not bot.queue.waiting()), TIMEOUT_SECONDS / speed)


if __name__ == "__main__":
    typer.run(main)
