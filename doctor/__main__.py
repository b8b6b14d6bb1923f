"""Check an installation, print each finding as soon as it is known, and report the result as exit status.

python -m doctor                      check the installation that the environment variables describe
python -m doctor --stack NAME         check a CloudFormation stack in AWS_DEFAULT_REGION
Exit status 0: everything is ok. 1: something is wrong or could not be checked. 2: invalid options.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import typer

from doctor.findings import Mark, unknown
from doctor.functions import check_function, check_private_answers, check_settings, check_worker
from doctor.installation import Installation, read_stack
from doctor.queue_and_ledger import check_queues, check_table
from doctor.secret import check_secret
from doctor.slack import check_request_url, check_slack
from toxicity_bot.settings import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from doctor.findings import Finding

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)


def check(installation: Installation, clock: Callable[[], float]) -> Iterator[Finding]:
    """Run all checks in order. A check can use earlier results; a failed check does not stop the later ones."""
    settings = yield from check_settings(installation)
    for function in installation.functions:
        yield from check_function(function)
    yield from check_private_answers(installation, settings)
    keys = yield from check_secret(settings, installation.stack)
    ahead = yield from check_slack(settings, keys.bot_token, clock)
    yield from check_request_url(installation.request_url, keys.signing_secret, clock() - ahead)
    worker = installation.function("worker")
    queue_arn = yield from check_queues(settings.jobs_queue_url, worker.timeout if worker else None)
    yield from check_table(settings.ledger_table, clock())
    yield from check_worker(installation, settings, queue_arn)


def check_stack(name: str, clock: Callable[[], float]) -> Iterator[Finding]:
    """Check the installation that a CloudFormation stack describes."""
    installation = yield from read_stack(name)
    if installation:
        yield from check(installation, clock)
    else:
        yield unknown("everything else", "not checked: the stack, which describes it, cannot be read")


def main(arguments: Sequence[str], clock: Callable[[], float] = time.time) -> int:
    """Check one installation. Return the exit status."""
    return int(app(arguments, prog_name="python -m doctor", standalone_mode=False, obj=clock) or 0)


@app.command(help=__doc__)
def command(
    context: typer.Context,
    stack: Annotated[str, typer.Option(help="The CloudFormation stack. Default: the environment variables here.")] = "",
    request_url: Annotated[str, typer.Option(help="The URL Slack sends events to. Not needed with --stack.")] = "",
    output: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
) -> None:
    if stack and request_url:
        raise typer.BadParameter("--stack and --request-url cannot be combined")
    if request_url and not _is_url(request_url):
        raise typer.BadParameter(f"{request_url!r} is not a URL: use one such as https://example.com/slack/events")
    if not stack and not request_url and not any(map(os.environ.get, DEFAULTS)):
        print(
            "There is nothing to check: none of the bot's environment variables is set. Name the bot's stack: "
            "make doctor STACK=slack-toxicity-bot",
            file=sys.stderr,
        )
        raise typer.Exit(2)
    here = Installation(os.environ, request_url)
    findings = []
    for finding in check_stack(stack, context.obj) if stack else check(here, context.obj):
        findings.append(finding)
        if output == "text":
            print(finding.as_text(), flush=True)
    number = Counter(finding.mark for finding in findings)
    all_ok = number[Mark.OK] == len(findings)
    if output == "json":
        print(json.dumps({"ok": all_ok, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        print("\n" + ", ".join(f"{number[mark]} {mark}" for mark in Mark if number[mark]))
    raise typer.Exit(0 if all_ok else 1)


def _is_url(text: str) -> bool:
    try:
        address = urlsplit(text)
        text.encode("ascii")
        (address.hostname or "").encode("idna")  # refuses empty labels
        return address.scheme in ("https", "http") and bool(address.hostname) and address.port != 0
    except ValueError:
        return False


if __name__ == "__main__":
    app(prog_name="python -m doctor", obj=time.time)
