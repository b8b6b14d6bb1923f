"""Serve a Lambda function over HTTP as an API Gateway HTTP API does, with events in payload format 2.0."""

from __future__ import annotations

import contextlib
import hashlib
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_PAYLOAD_BYTES = 10 * 1024 * 1024  # bytes, the limit of an HTTP API


def api_gateway_event(
    body: bytes,
    headers: Mapping[str, str],
    *,
    source_ip: str = "203.0.113.7",
    base64_encoded: bool = False,
    clock: Callable[[], float] = time.time,
    path: str = "/slack/events",
    method: str = "POST",
) -> dict[str, Any]:
    """Return the event for a request. `path` may have a query string. Binary bodies are Base64-encoded."""
    now = clock()
    try:
        text = None if base64_encoded else body.decode()
    except UnicodeDecodeError:
        text = None
    names = {name.lower(): value for name, value in headers.items()}
    path, _, query = path.partition("?")
    path = unquote(path)
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": source_ip}
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": query,
        "queryStringParameters": dict(parse_qsl(query, keep_blank_values=True)),
        "headers": names | {"content-length": str(len(body))},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": "local.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "local",
            "http": http | {"userAgent": names.get("user-agent", "")},
            "requestId": hashlib.sha256(body + str(now).encode()).hexdigest()[:16],
            "routeKey": f"{method} {path}",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "body": b64encode(body).decode() if text is None else text,
        "isBase64Encoded": text is None,
    }


class Gateway(BaseHTTPRequestHandler):
    """One keep-alive connection to API Gateway. `function` is the module of the Lambda function."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are written separately
    timeout = 75  # seconds; API Gateway closes a connection that is idle for longer
    function: ClassVar[Any]

    def handle(self) -> None:
        """Handle the connection. A client that has disconnected needs no response."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def _invoke(self) -> None:
        length = self.headers.get("Content-Length", "0" if self.command != "POST" else "")
        known = length.isascii() and length.isdigit()
        size = float(length) if known else 0.0  # int() refuses thousands of digits
        if not known or size > MAX_PAYLOAD_BYTES:
            self.close_connection = True
            return self._answer(413 if known else 411, {}, "")
        body = self.rfile.read(int(size))
        headers = {"x-forwarded-proto": "http"} | {name.lower(): value for name, value in self.headers.items()}
        event = api_gateway_event(body, headers, source_ip=self.client_address[0], path=self.path, method=self.command)
        response = self.function.handler(event, None)
        return self._answer(response["statusCode"], response["headers"], response["body"])

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _invoke  # noqa: N815 - names from the base class

    def _answer(self, status: int, headers: Mapping[str, str], body: str) -> None:
        content = body.encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name from the base class
        """Log nothing: the function logs its requests, and a query string may hold an API key."""
