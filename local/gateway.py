"""Serve the receiver over HTTP as API Gateway does: requests become payload v2 events for `receiver.handler`.

Run it as a process: `python -m local.gateway --port 8080`, with the receiver's variables in the environment. It keeps
connections open, which werkzeug's server does not, and starts without typer, since its start is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from local.events import api_gateway_event
from local.lambda_context import LocalContext, load

LARGEST_PAYLOAD = 10 * 1024 * 1024  # bytes, the limit of an HTTP API


class Gateway(BaseHTTPRequestHandler):
    """One connection; `main` sets `receiver`."""

    protocol_version = "HTTP/1.1"
    receiver: ClassVar[Any]

    def handle(self) -> None:
        """Handle the connection; a client that has disconnected needs no answer."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST_PAYLOAD:
            self.close_connection = True
            return self._answer(413 if length.isdigit() else 411, {}, "")
        body = self.rfile.read(int(length))
        headers = dict(self.headers.items())
        # API Gateway encodes bodies that are not text.
        event = api_gateway_event(
            body, headers, source_ip=self.client_address[0], base64_encoded=not _is_text(body), path=self.path
        )
        response = self.receiver.handler(event, LocalContext("receiver", timeout_seconds=10))
        return self._answer(response["statusCode"], response["headers"], response["body"])

    def _answer(self, status: int, headers: dict[str, str], body: str) -> None:
        content = body.encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
        """Log nothing: the receiver logs its requests."""


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def main(arguments: list[str] | None = None) -> None:
    """Serve until stopped; write a line with the port to --ready-fd once requests are accepted."""
    parser = argparse.ArgumentParser(prog="python -m local.gateway", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-fd", type=int, default=sys.stdout.fileno())
    given = parser.parse_args(arguments)
    Gateway.receiver = load("receiver")
    with ThreadingHTTPServer(("127.0.0.1", given.port), Gateway) as server:
        os.write(given.ready_fd, f"{server.server_port}\n".encode())
        server.serve_forever()


if __name__ == "__main__":
    main()
