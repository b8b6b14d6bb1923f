"""All checks in their order: each uses what the earlier ones found out, and none keeps a later one away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doctor.findings import unknown
from doctor.functions import check_function, check_worker
from doctor.installation import Installation, check_settings
from doctor.model import check_model
from doctor.queues import check_queues
from doctor.request_url import check_request_url
from doctor.secret import check_secret
from doctor.slack import check_slack
from doctor.stack import read_stack
from doctor.table import check_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from doctor.findings import Finding


def examine_stack(name: str, clock: Callable[[], float]) -> Iterator[Finding]:
    """Examine what a CloudFormation stack made."""
    installation = yield from read_stack(name)
    if installation:
        yield from examine(installation, clock)
    else:
        yield unknown("everything else", "not known: the stack says where it is")


def examine(installation: Installation, clock: Callable[[], float]) -> Iterator[Finding]:
    """Examine an installation; `clock` gives seconds since 1970."""
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
        yield unknown("model", "not known: the worker, which holds it, cannot be looked at")
    else:
        yield from check_model(settings)
