"""Check a stack's two functions: their state, the event source of the worker, and the worker's start."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doctor.aws import asking, client
from doctor.findings import Check, ok, unknown, wrong
from toxicity_bot import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

# Longer than Lambda lets the worker start and handle one batch.
START_SECONDS = 90
ALIAS = "live"  # template.yaml's AutoPublishAlias
FEED = "jobs to worker"
DEPLOY = "make deploy"


@dataclass(frozen=True)
class Function:
    """A function as Lambda describes it: the configuration of its alias's version, and the reserved concurrency."""

    role: str
    name: str
    configuration: Mapping[str, Any]
    reserved_concurrency: int | None

    @property
    def environ(self) -> dict[str, str]:
        return dict(self.configuration.get("Environment", {}).get("Variables", {}))

    @property
    def timeout(self) -> float:
        """Seconds."""
        return float(self.configuration["Timeout"])

    @property
    def log_group(self) -> str:
        return str(self.configuration.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{self.name}"))


def describe(role: str, name: str) -> Function:
    """Return the function; raises boto3's errors."""
    functions = client("lambda")
    configuration = functions.get_function_configuration(FunctionName=name, Qualifier=ALIAS)
    concurrency = functions.get_function_concurrency(FunctionName=name)
    return Function(role, name, configuration, concurrency.get("ReservedConcurrentExecutions"))


def check_function(function: Function) -> Check[None]:
    """Check that it may run."""
    state = function.configuration.get("State", "Active")
    if function.reserved_concurrency == 0:
        lift = f"aws lambda delete-function-concurrency --function-name {function.name}"
        mend = f"{lift} lifts it; put-function-concurrency sets a limit again"
        yield wrong(function.role, "the kill switch is on: its reserved concurrency is 0, so it never runs", mend)
    elif state == "Failed":
        yield wrong(function.role, f"Lambda could not set it up: {function.configuration.get('StateReason')}", DEPLOY)
    elif state == "Pending":
        yield unknown(function.role, "Lambda is setting it up", "wait a minute and run this again")
    else:
        size = f"{function.configuration['MemorySize']} MB, {function.timeout:.0f} s"
        yield ok(function.role, f"{function.name} may run ({size})")


def check_worker(worker: Function, queue_arn: str | None) -> Check[None]:
    """Check the worker's event source, and start it once."""
    if queue_arn:
        yield from asking(FEED, DEPLOY, _check_feed(worker.name, queue_arn))
    else:
        yield unknown(FEED, "not checked: the queue cannot be read")
    if worker.reserved_concurrency == 0:
        yield unknown("model", "not checked: the worker cannot start while the kill switch is on")
    else:
        yield from asking("model", DEPLOY, _check_start(worker))


def _check_feed(name: str, queue_arn: str) -> Check[None]:
    # Looked up by the queue, since the mapping may name the function or its alias.
    feeds = client("lambda").list_event_source_mappings(EventSourceArn=queue_arn)["EventSourceMappings"]
    feeds = [feed for feed in feeds if feed["FunctionArn"].split(":")[6] == name]
    if not feeds:
        yield wrong(FEED, "the worker gets no jobs: it has no event source", DEPLOY)
    for feed in feeds:
        if feed["State"] != "Enabled":
            mend = f"aws lambda update-event-source-mapping --uuid {feed['UUID']} --enabled"
            yield wrong(FEED, f"the worker's event source is {feed['State']}", mend)
        elif "ReportBatchItemFailures" not in feed.get("FunctionResponseTypes", []):
            yield wrong(FEED, "Lambda does not retry jobs that the worker reports as failed: they are lost", DEPLOY)
        else:
            yield ok(FEED, "the queue feeds the worker")


def _check_start(worker: Function) -> Check[None]:
    """Invoke the worker with an empty batch: it loads its model, with the self-test, before it handles it."""
    answer = client("lambda", read_timeout=START_SECONDS).invoke(
        FunctionName=worker.name, Qualifier=ALIAS, Payload=json.dumps({"Records": []})
    )
    problem = json.loads(answer["Payload"].read())
    kind = problem.get("errorType", "")
    if "FunctionError" not in answer:
        yield ok("model", "the worker starts, and its model passes the self-test")
        return
    # Errors of the bot and of the runtime contain no secrets; others might.
    may_be_shown = hasattr(errors, kind) or kind.startswith("Runtime.")
    told = f"{kind}: {problem.get('errorMessage')}" if may_be_shown else kind or "no reason given"
    yield wrong("model", f"the worker does not start ({told})", f"aws logs tail {worker.log_group} --since 15m")
