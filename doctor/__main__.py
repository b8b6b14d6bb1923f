"""The command line: print each finding when it is known, and exit by the result.

python -m doctor                      check what the settings in the environment name
python -m doctor --stack NAME         check what a CloudFormation stack describes
Exit status 0: all is well; 1: something is wrong or could not be checked; 2: wrong options.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import typer

from doctor.findings import as_json, is_well, summary, unknown
from doctor.functions import check_function, check_worker
from doctor.installation import Installation, check_model, check_settings
from doctor.ledger_table import check_table
from doctor.queues import check_queues
from doctor.request_url import check_request_url
from doctor.secret import check_secret
from doctor.slack import check_slack
from doctor.stack import read_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from doctor.findings import Finding

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)


def examine_stack(name: str, clock: Callable[[], float]) -> Iterator[Finding]:
    """Check the installation that a CloudFormation stack describes."""
    installation = yield from read_stack(name)
    if installation:
        yield from examine(installation, clock)
    else:
        yield unknown("everything else", "not checked: only the stack says where it is")


def examine(installation: Installation, clock: Callable[[], float]) -> Iterator[Finding]:
    """Run all checks in order: each uses the results of earlier ones, and none prevents a later one."""
    settings = yield from check_settings(installation)
    for function in installation.functions:
        yield from check_function(function)
    keys = yield from check_secret(settings, installation.stack)
    ahead = yield from check_slack(settings.api_url, keys.bot_token, clock)
    yield from check_request_url(installation.request_url, keys.signing_secret, clock() - ahead)
    worker = next((function for function in installation.functions if function.role == "worker"), None)
    queue_arn = yield from check_queues(settings.jobs_queue_url, worker.timeout if worker else None)
    yield from check_table(settings.ledger_table)
    if worker:
        yield from check_worker(worker, queue_arn)
    elif installation.stack:
        yield unknown("model", "not checked: the worker, which holds it, cannot be read")
    else:
        yield from check_model(settings)


def main(arguments: Sequence[str], clock: Callable[[], float] = time.time) -> int:
    """Check one installation; return the exit status."""
    status = app(arguments, prog_name="python -m doctor", standalone_mode=False, obj=clock)
    return int(status or 0)


@app.command(help=__doc__)
def check(
    context: typer.Context,
    stack: Annotated[str, typer.Option(help="The CloudFormation stack; without it, the settings here.")] = "",
    request_url: Annotated[str, typer.Option(help="Where Slack sends its events; a stack says that itself.")] = "",
    region: Annotated[str, typer.Option(help="AWS's name of the region, such as eu-west-1.")] = "",
    output: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
) -> None:
    if stack and request_url:
        raise typer.BadParameter("--stack and --request-url exclude each other")
    if request_url and not _is_address(request_url):
        raise typer.BadParameter(f"{request_url!r} is no address: use one such as https://example.com/slack/events")
    if region:
        os.environ["AWS_DEFAULT_REGION"] = region  # the bot's own code, which reads the secret, needs it too
    clock: Callable[[], float] = context.obj
    if stack:
        checks = examine_stack(stack, clock)
    else:
        checks = examine(Installation.from_environ(os.environ, request_url), clock)
    findings = []
    for finding in checks:
        findings.append(finding)
        if output == "text":
            print(finding.as_text(), flush=True)
    print(as_json(findings) if output == "json" else f"\n{summary(findings)}")
    raise typer.Exit(0 if is_well(findings) else 1)


def _is_address(text: str) -> bool:
    try:
        address = urlsplit(text)
        return address.scheme in ("https", "http") and bool(address.hostname) and address.port != 0
    except ValueError:
        return False


if __name__ == "__main__":
    app(prog_name="python -m doctor", obj=time.time)
