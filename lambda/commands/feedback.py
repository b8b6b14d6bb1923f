"""`toxicity-bot feedback export`: people's feedback on verdicts as CSV, for labelling and training."""

from __future__ import annotations

import csv
import datetime
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from toxicity_bot.errors import BotError, FileError, LedgerError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from slack_sdk.http_retry.handler import RetryHandler

    from toxicity_bot.feedback import Opinion

app = typer.Typer(help="People's feedback on verdicts.", no_args_is_help=True)
STDIO = "-"
COLUMNS = ("permalink", "label", "feedback", "verdict", "score", "user", "team", "channel", "ts", "at")


@app.callback()
def feedback() -> None:
    """Make `export` a subcommand: a typer app with a single command has none."""


@app.command()
def export(
    table: Annotated[
        str, typer.Option(envvar="LEDGER_TABLE", help="The table of verdicts: the stack's output LedgerTableName.")
    ] = "",
    region: Annotated[str, typer.Option(help="The AWS region; default: that of the AWS configuration.")] = "",
    out: Annotated[str, typer.Option(help="The file to write; - is standard output.")] = STDIO,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file --out.")] = False,
) -> None:
    """Write a row for each person and verdict, oldest first, with a link to the message and no text.

    With a token in SLACK_BOT_TOKEN, the links come from Slack. Otherwise they are built from the ids.
    """
    if not table:
        raise SettingError("LEDGER_TABLE", "is not set: use --table with the stack's output LedgerTableName.")
    try:
        import boto3

        from toxicity_bot.opinions import all_opinions
        from toxicity_bot.table import Table
    except ModuleNotFoundError as error:
        raise BotError(f"{error}: feedback needs pip install '.[bot]' in the repository's folder") from error
    client = _client(boto3, region)
    try:
        found = sorted(all_opinions(Table(table, client)), key=lambda opinion: opinion.at)
    except LedgerError as error:
        where = region or "the region of the AWS configuration"
        raise BotError(
            f"{table} cannot be read in {where} ({error.code}): check the name, --region and your credentials."
        ) from error
    permalink = _permalinks()
    with _opened(out, overwrite=overwrite) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for opinion in found:
            at = datetime.datetime.fromtimestamp(opinion.at, datetime.UTC).isoformat(timespec="seconds")
            rest = (
                opinion.choice,
                opinion.outcome,
                opinion.score,
                opinion.user,
                opinion.team,
                opinion.channel,
                opinion.ts,
                at,
            )
            rows.writerow((permalink(opinion), label(opinion), *rest))
    print(f"{len(found):,} rows", file=sys.stderr)


def label(opinion: Opinion) -> str:
    """Return the label for training, 1 for toxic or 0 for not, or an empty string if the feedback implies neither."""
    says = {"toxic": True, "fine": False}.get(opinion.outcome)
    if says is None:
        return ""
    return str(int(says == (opinion.choice == "agreed")))


def _client(boto3: Any, region: str) -> Any:
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.client("dynamodb", region_name=region or None)
    except BotoCoreError as error:
        name = type(error).__name__
        raise BotError(
            f"The AWS configuration has no region ({name}): use --region, for example --region eu-central-1."
        ) from error


def _permalinks() -> Callable[[Opinion], str]:
    """Return a function that returns the link to a message."""
    token = os.environ.get("SLACK_BOT_TOKEN", "")
    if not token:
        return _link_of_ids
    from slack_sdk.errors import SlackApiError, SlackClientError
    from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
    from slack_sdk.web.client import WebClient

    from toxicity_bot.settings import Settings

    retries: list[RetryHandler] = [RateLimitErrorRetryHandler(max_retry_count=5)]
    api_url = Settings.from_environ(os.environ).api_url
    slack = WebClient(token, base_url=api_url, retry_handlers=retries)
    try:
        slack.auth_test()
    except SlackApiError as error:
        code = error.response.get("error")
        raise BotError(f"Slack refuses SLACK_BOT_TOKEN ({code}): set it to the app's token, or unset it.") from None
    except (SlackClientError, OSError) as error:
        reason = type(error).__name__
        raise BotError(f"Slack cannot be reached ({reason}): try again, or unset SLACK_BOT_TOKEN.") from None

    def link(opinion: Opinion) -> str:
        try:
            return str(slack.chat_getPermalink(channel=opinion.channel, message_ts=opinion.ts)["permalink"])
        except (SlackClientError, OSError):  # the message is gone, or the bot is no longer in the channel
            return _link_of_ids(opinion)

    return link


def _link_of_ids(opinion: Opinion) -> str:
    """Return a link that opens the channel for a signed-in user: docs.slack.dev/interactivity/deep-linking."""
    ids = f"team={opinion.team}&channel={opinion.channel}&message_ts={opinion.ts}"
    return f"https://slack.com/app_redirect?{ids}"


def _opened(out: str, *, overwrite: bool) -> AbstractContextManager[TextIO]:
    if out == STDIO:
        return nullcontext(sys.stdout)
    try:
        return Path(out).open("w" if overwrite else "x", encoding="utf-8", newline="")
    except FileExistsError as error:
        raise FileError(out, "exists already: choose another --out, or --overwrite it") from error
    except OSError as error:
        raise FileError(out, f"cannot be written: {error.strerror}") from error
