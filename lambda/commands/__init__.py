"""The command line `toxicity-bot`: each verb is a module, which imports what it needs when it runs."""

from __future__ import annotations

import sys

import typer

from toxicity_bot.errors import BotError

from .score import score

app = typer.Typer(
    help="Score text with the classifier of the Slack toxicity bot.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(score)


@app.callback()
def _verbs() -> None:
    """Keep the verb even where there is only one."""


def main() -> None:
    """Run the command line; an error of ours is one sentence and exit status 2."""
    try:
        app()
    except BotError as error:
        print(f"toxicity-bot: {error}", file=sys.stderr)
        sys.exit(2)
