"""The HTTP API in front of the receiver: real requests in, payload v2 events to `receiver.handler`, its answers out.

Run as a process of its own: `python -m local.gateway --port 8080`, with the receiver's variables in the environment.
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

LARGEST_PAYLOAD = 10 * 1024 * 1024  # what an HTTP API takes at most


class Gateway(BaseHTTPRequestHandler):
    """One connection; the handler function is set by `main`."""

    protocol_version = "HTTP/1.1"
    receiver: ClassVar[Any]

    def handle(self) -> None:
        """A client that has gone needs no answer."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST_PAYLOAD:
            self.close_connection = True
            return self._answer(413 if length.isdigit() else 411, {}, "")
        body = self.rfile.read(int(length))
        headers = dict(self.headers.items())
        # API Gateway hands over as base64 what is not text.
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
        """Say nothing: the receiver logs what is worth it."""


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def main(arguments: list[str] | None = None) -> None:
    """Serve until stopped; with --ready-fd, write one line with the port there once requests are taken."""
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
