"""`toxicity-bot serve`: serve the Perspective API over HTTP on this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from typing import Annotated

import typer


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def serve(
    port: Annotated[int, typer.Option(help="The port; 0 chooses a free one.", min=0, max=65535)] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on. Any but a loopback address needs API keys.")] = (
        "127.0.0.1"
    ),
    ready_fd: Annotated[int, typer.Option(hidden=True, help="The port is written to this file descriptor.")] = 1,
) -> None:
    """Serve Google's Perspective API. MODEL_DIR, API_KEY_HASHES and ATTRIBUTE_ALIASES configure it."""
    from http.server import ThreadingHTTPServer

    from toxicity_bot.errors import BotError, SettingError
    from toxicity_bot.gateway import Gateway
    from toxicity_bot.model_directory import embedded

    if not (os.environ.get("API_KEY_HASHES") or os.environ.get("SLACK_SECRET_ID")):
        if not _is_loopback(host):
            reason = f"is not set, and other machines can reach {host}: docs/scoring.md says how to make keys."
            raise SettingError("API_KEY_HASHES", reason)
        os.environ["API_KEY_HASHES"] = "none"
    os.environ["MODEL_DIR"] = os.environ.get("MODEL_DIR") or str(embedded())
    os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
    try:
        from toxicity_bot import scorer
    except ModuleNotFoundError as error:
        raise BotError(f"{error}: serve needs pip install '.[serve]' in the repository's folder") from error

    Gateway.function = scorer
    ThreadingHTTPServer.request_queue_size = 128  # the default of 5 would refuse a burst of connections
    if ":" in host:
        ThreadingHTTPServer.address_family = socket.AF_INET6
    try:
        listening = ThreadingHTTPServer((host, port), Gateway)
    except OSError as error:
        raise BotError(f"cannot listen at {host}, port {port}: {error.strerror}. --port chooses another.") from error
    with listening as server:
        address = f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/v1alpha1/comments:analyze"
        typer.echo(f"Scoring at {address}, model {scorer.classifier.name}. Ctrl-C stops it.", err=True)
        os.write(ready_fd, f"{server.server_port}\n".encode())
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
