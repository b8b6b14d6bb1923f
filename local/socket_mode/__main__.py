"""`make socket`: the bot for a real workspace on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from local.socket_mode.bot import run

FILE = Path("socket-mode.sqlite3")


def main(
    file: Annotated[Path, typer.Option(help="Where jobs and verdicts are remembered.")] = FILE,
    *,
    redrive: Annotated[bool, typer.Option(help="Give dead letters ten tries more.")] = False,
    ready_fd: Annotated[int | None, typer.Option(hidden=True, help="A descriptor that gets a line.")] = None,
) -> None:
    """Run the bot for a workspace through Socket Mode; SLACK_APP_TOKEN and SLACK_BOT_TOKEN are its tokens."""
    run(file, ready_fd, redrive=redrive)


if __name__ == "__main__":
    typer.run(main)
