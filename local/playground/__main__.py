"""`make playground`: serve a web page with a local Slack, in which the bot answers."""

from __future__ import annotations

import errno
import math
import os
import socket
import sys
import webbrowser
from typing import Annotated

import typer

from local.bot import SIGNAL_PAUSE, BotError, wait_for
from local.playground.playground import MODERATORS, Playground
from local.playground.server import PageServer
from toxicity_bot.command_line import signals_to_end

HOST = "127.0.0.1"
PORT = 8765


def main(
    port: Annotated[int, typer.Option(help="The port of the page. 0 picks a free one.", min=0, max=65535)] = PORT,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Serve the page until Ctrl-C."""
    stopping = signals_to_end()
    os.environ["MODERATORS_CHANNEL"] = MODERATORS  # not the user's own channel
    with listening(port) as listener:
        print("Starting a local Slack, SQS, DynamoDB, the receiver and the worker ...", flush=True)
        with Playground() as playground, PageServer(playground, listener) as server:
            print(f"The page is at {server.address}   Ctrl-C stops it.", flush=True)
            if browser and not opened(server.address):
                print("No browser found: open the URL yourself.", flush=True)
            wait_for(lambda: bool(stopping), math.inf, SIGNAL_PAUSE)


def listening(port: int) -> socket.socket:
    """Return a listening socket. Raises BotError if the port is not available."""
    try:
        return socket.create_server((HOST, port), backlog=64)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why, other = "is in use", port + 1 if port < 65535 else PORT
        elif error.errno == errno.EACCES:
            why, other = "needs administrator rights", PORT
        else:
            raise
        raise BotError(f"Port {port} {why}. Choose another one: make playground PORT={other}") from error


def opened(address: str) -> bool:
    """Open a graphical browser, and return whether that worked. A browser in this terminal would hide the output."""
    windows = sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
    return windows and webbrowser.open(address)


if __name__ == "__main__":
    typer.run(main)
