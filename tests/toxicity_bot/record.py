"""Record what the bot prints, sends to AWS and calls during a test, and find leaks in it.

Every text, name, token and secret in these tests contains one of the canaries. Only Slack may receive them.
"""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIEnvironment

CANARIES = {
    "a message's text": "quetzalcoatlus",
    "a word of a message": "stupid",
    "a name": "archaeopteryx",
    "a token": "xoxb-",
    "a signing secret": "signing-secret",
    "a verification token": "Jhj5dZrVaK7ZwHHjRyZWjbDl",
    "a signature": "v0=",
    "an API key": "coelacanth",
}
HERE = ("127.0.0.1", "localhost")


class Record:
    """The printed lines, the requests to AWS and the hosts that were called."""

    def __init__(self, printed: Callable[[], str]) -> None:
        """`printed` returns the standard output and error since its last call."""
        self._new = printed
        self.written = io.StringIO()
        self.requests: list[tuple[str, str]] = []
        self.hosts: set[str] = set()
        self._files: list[Path] = []

    def watch(self, file: Path) -> None:
        """Include a log file in the printed text."""
        self._files.append(file)

    def note_request(self, environ: WSGIEnvironment) -> None:
        """Store the body of a request to AWS. Requests to Secrets Manager may contain secrets and are skipped."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        service, _, action = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if action and service != "secretsmanager":
            self.requests.append((action, body.decode()))

    def requests_for(self, action: str) -> list[dict[str, Any]]:
        """Return the arguments of all requests for an action, oldest first."""
        return [json.loads(body) for name, body in self.requests if name == action]

    def printed(self) -> str:
        """Return what this process printed."""
        self.written.write(self._new())
        return self.written.getvalue()

    def text(self) -> str:
        """Return everything that was written."""
        return self.printed() + "".join(file.read_text(errors="replace") for file in self._files)

    def lines(self) -> list[dict[str, Any]]:
        """Return the log lines and metrics."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def counted(self) -> list[tuple[str, str]]:
        """Return the metrics in the order of writing, each with its reason."""
        lines = [line for line in self.lines() if "_aws" in line]
        return [(line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"], line.get("reason", "")) for line in lines]

    def leaks(self) -> list[str]:
        """Return every canary found, with its location, and every other host that was called."""
        places = [("what was written", self.text()), *((f"a request of {name}", body) for name, body in self.requests)]
        found = [f"{what} is in {place}: {_around(text, canary)}"
                 for place, text in places for what, canary in CANARIES.items() if canary in text]  # fmt: skip
        return found + [f"{host} was called" for host in self.hosts if host not in HERE]

    def clear(self) -> None:
        """Forget everything. Used by the tests of this class."""
        self.printed()
        self.written.seek(self.written.truncate(0))
        self.requests.clear()
        self.hosts.clear()
        self._files.clear()


def _around(text: str, canary: str) -> str:
    at = text.index(canary)
    return repr(text[max(at - 60, 0) : at + 60])


def note_hosts(records: list[Record]) -> None:
    """Record every host that this process calls or looks up, in the last of the records."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if records and event in ("socket.connect", "socket.getaddrinfo"):
            records[-1].hosts.update(_hosts(event, arguments))

    sys.addaudithook(hook)


def _hosts(event: str, arguments: tuple[Any, ...]) -> Iterator[str]:
    address = arguments[1] if event == "socket.connect" else arguments
    if isinstance(address, tuple) and address[0]:
        yield str(address[0])
