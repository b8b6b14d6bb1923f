"""The playground's server without a browser: valid requests, errors for invalid requests, and startup."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from local.playground.playground import MODERATORS, Playground
from local.playground.scoring import card
from local.playground.server import ACTIONS, MAX_BODY_BYTES, PageServer
from local.playground.trouble import TROUBLES
from tests import ROOT, run_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POST = {"channel": "C0GENERAL", "user": "U0ADA", "text": "hello", "thread_ts": ""}
FIELDS = "channel, user, text, thread_ts"
JSON = "application/json"
NOT_FOUND = "Slack refuses this: message_not_found."
NOT_IN_ORDER = "Both thresholds must be from 0 to 1, and maybe must not exceed toxic."


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Client:
    """Sends requests to the server like a browser showing the page, or showing a page from another origin."""

    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, {name.replace("_", "-"): one for name, one in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())

    def send(self, action: str, body: bytes) -> Answer:
        """Send a body as the page does."""
        return self.ask("POST", f"/do/{action}", body, Origin=self.origin, Content_Type=JSON)

    def do(self, action: str, fields: Any) -> tuple[int, dict[str, Any]]:
        answer = self.send(action, json.dumps(fields).encode())
        return answer.status, json.loads(answer.body)

    def state(self) -> dict[str, Any]:
        """Return the first event of the stream."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", "/events")
            return dict(json.loads(connection.getresponse().readline().removeprefix(b"data: ")))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    # Other tests set the bot's variables for the whole session.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_DIR", str(ROOT / "model"))
        patch.setenv("MODERATORS_CHANNEL", MODERATORS)
        listener = socket.create_server(("127.0.0.1", 0))
        with listener, Playground() as playground, PageServer(playground, listener):
            yield Client(listener.getsockname()[1])


def test_only_the_page_and_its_files_are_served_with_a_policy_against_foreign_scripts(client: Client) -> None:
    kinds = {"": "text/html", "page.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"}
    answers = {name: client.ask("GET", f"/{name}") for name in kinds}
    assert {name: one.headers["Content-Type"].split(";")[0] for name, one in answers.items()} == kinds
    assert {one.status for one in answers.values()} == {200}
    assert client.ask("GET", "/model-card").body == (ROOT / "model" / "MODEL_CARD.md").read_bytes()
    nowhere = ("/page.html.j2", "/../server.py", "/static/page.js", "/do/post", "/%2e%2e/server.py")
    refused = [client.ask("GET", path) for path in nowhere]
    assert [one.status for one in refused] == [404] * len(nowhere)
    for answer in (*answers.values(), *refused):
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        for rule in ("default-src 'none'", "script-src 'self';", "frame-ancestors 'none'"):
            assert rule in policy


def test_the_page_has_no_inline_scripts_or_styles(client: Client) -> None:
    page = client.ask("GET", "/").body.decode()
    assert page.count("<script") == page.count('<script type="module" src="/') == 1
    for words in ("<style", " style=", "://"):  # nothing is loaded from another host
        assert words not in page


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "evil.example:{port}", "[::1]:{port}"])
def test_an_unexpected_host_header_is_refused(client: Client, host: str) -> None:
    assert client.ask("GET", "/events", Host=host.format(port=client.port)).status == 421
    assert client.ask("GET", "/", Host=f"localhost:{client.port}").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": JSON}, 403),
        ({"Content_Type": JSON, "Origin": "null"}, 403),
        ({"Content_Type": JSON, "Origin": "https://evil.example"}, 403),
        ({"Content_Type": JSON, "Origin": "http://127.0.0.1:1"}, 403),
        ({"Content_Type": JSON, "Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Content_Type": "text/plain", "Origin": "http://127.0.0.1:{port}"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded", "Origin": "http://127.0.0.1:{port}"}, 415),
    ],
)
def test_requests_from_other_origins_change_nothing(client: Client, headers: dict[str, str], status: int) -> None:
    before = client.state()
    sent = {name: value.format(port=client.port) for name, value in headers.items()}
    assert client.ask("POST", "/do/post", json.dumps(POST).encode(), **sent).status == status
    assert client.ask("GET", "/events", Origin="https://evil.example").status == 403
    assert client.state() == before


@pytest.mark.parametrize(
    ("action", "fields", "status", "sentence"),
    [
        ("post", {**POST, "text": " "}, 400, "The message has no text."),
        ("post", {**POST, "text": 1}, 400, "text has the wrong type."),
        ("post", {**POST, "more": ""}, 400, f"The fields are {FIELDS}: got an unexpected keyword argument 'more'."),
        ("post", [], 400, f"The body must be an object with {FIELDS}."),
        ("post", {**POST, "channel": "C0NONE"}, 409, "Slack refuses this: channel_not_found."),
        ("edit", {"channel": "C0GENERAL", "ts": "1.0", "user": "U0ADA", "text": "x"}, 409, NOT_FOUND),
        ("switch", {"kinds": ["flood"]}, 400, f"Unknown kind flood. The kinds are {', '.join(TROUBLES)}."),
        ("switch", {"kinds": [[]]}, 400, "kinds has the wrong type."),
        ("score", {"text": "x", "toxic": 0.2, "maybe": 0.5}, 400, NOT_IN_ORDER),
        ("score", {"text": "x", "toxic": float("nan"), "maybe": 0.5}, 400, NOT_IN_ORDER),
        ("nothing", {}, 404, f"There is no /do/nothing here; /do/ has {', '.join(ACTIONS)}."),
    ],
)  # fmt: skip
def test_an_invalid_request_is_explained(client: Client, action: str, fields: Any, status: int, sentence: str) -> None:
    assert client.do(action, fields) == (status, {"error": sentence})


def test_a_body_that_is_not_json_or_is_too_large_is_refused(client: Client) -> None:
    assert client.send("post", b"{").status == 400
    assert client.send("post", b"[" * 100_000).status == 400
    assert client.send("post", b" " * (MAX_BODY_BYTES + 1)).status == 413


def test_only_the_author_can_change_a_message(client: Client) -> None:
    client.do("post", POST)
    (message,) = (one for one in client.state()["channels"][0]["messages"] if one["text"] == "hello")
    about = {"channel": "C0GENERAL", "ts": message["ts"], "user": "U0GRACE"}
    refused = {"error": "Slack refuses this: cant_update_message."}
    assert client.do("edit", about | {"text": "bye"}) == (409, refused)
    assert client.do("delete", about)[0] == 409
    assert client.do("delete", about | {"user": "U0ADA"}) == (200, {})


def test_empty_texts_and_texts_without_words_have_no_score(client: Client) -> None:
    for text in ("", ":tada:", "\u200b"):
        status, found = client.do("score", {"text": text, "toxic": 0.8, "maybe": 0.3})
        assert (status, found["outcome"], found["score"]) == (200, "cannot_judge", None)


def test_a_model_card_without_measurements_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"labels": []}')
    found = card(tmp_path)
    assert found.items() >= {"name": tmp_path.name, "figures": [], "failures": {}, "goals": 0}.items()


def test_the_error_for_a_port_in_use_suggests_another_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run_module("local.playground", "--port", str(port), "--no-browser")
    sentence = f"Port {port} is in use. Choose another one: make playground PORT={port + 1}\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", sentence)


def test_an_invalid_model_directory_is_reported(tmp_path: Path) -> None:
    refused = run_module("local.playground", "--port", "0", environ={"MODEL_DIR": str(tmp_path / "nowhere")})
    sentence = "is not a directory: set MODEL_DIR to a model's directory, such as the project's model/"
    assert (refused.returncode, refused.stderr) == (2, f"{tmp_path / 'nowhere'} {sentence}\n")


@pytest.mark.parametrize(("browser", "works"), [("true", True), ("false", False), ("", False)])
def test_a_browser_that_does_not_open_is_not_an_error(
    browser: str, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BROWSER", browser)  # `webbrowser` reads it once per process
    code = "from local.playground.__main__ import opened; print(opened('http://127.0.0.1:9/'))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == f"{works}\n"


@pytest.mark.parametrize(
    ("number", "ended"), [(signal.SIGINT, (130, "\nStopped.\n")), (signal.SIGTERM, (0, "")), (signal.SIGHUP, (0, ""))]
)
def test_a_signal_to_any_thread_stops_the_server_while_a_page_is_open(number: int, ended: tuple[int, str]) -> None:
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, by child processes too
    process = subprocess.Popen(
        [sys.executable, "-m", "local.playground", "--port", "0"], cwd=ROOT, text=True, process_group=0,
        env={**os.environ, "BROWSER": "false", "DISPLAY": ""}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    signal.signal(signal.SIGHUP, inherited)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert "No browser found" in lines[2]
    port = int(lines[1].split()[4].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as page:
        page.sendall(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert page.recv(1000).startswith(b"HTTP/1.1 200")
        threads = [int(thread.name) for thread in Path(f"/proc/{process.pid}/task").iterdir()]
        assert ctypes.CDLL(None).tgkill(process.pid, max(threads), number) == 0
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == ended
