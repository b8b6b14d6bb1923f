"""The command line `toxicity-bot`. Each command is a module that imports its dependencies when it runs."""

from __future__ import annotations

import typer

from toxicity_bot.command_line import guard

from . import feedback
from .score import score
from .serve import serve

app = typer.Typer(
    help="Score text with the classifier of the Slack toxicity bot.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(score)
app.command()(serve)
app.add_typer(feedback.app, name="feedback")


def main() -> None:
    """Run the command line. Errors are one sentence, with exit status 2 for wrong input."""
    guard()
    typer.main.get_command(app)()  # calling the app itself would install typer's excepthook
