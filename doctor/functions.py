"""A stack's two functions: whether they may run, what hands jobs to the worker, and whether the worker starts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doctor.aws import asking, client
from doctor.findings import Check, ok, unknown, wrong
from toxicity_bot import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

# The longest that Lambda lets a function start and run for one batch here, and some more for the way.
START_SECONDS = 90
ALIAS = "live"  # template.yaml's AutoPublishAlias
FEED = "jobs to worker"
DEPLOY = "make deploy"


@dataclass(frozen=True)
class Function:
    """One function as Lambda describes it: the version that its alias stands for, and the concurrency of them all."""

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
    """Ask Lambda for it; raises what boto3 raises."""
    functions = client("lambda")
    configuration = functions.get_function_configuration(FunctionName=name, Qualifier=ALIAS)
    concurrency = functions.get_function_concurrency(FunctionName=name)
    return Function(role, name, configuration, concurrency.get("ReservedConcurrentExecutions"))


def check_function(function: Function) -> Check[None]:
    """Tell whether it may run."""
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
    """Look at what feeds the worker, and have it start."""
    if queue_arn:
        yield from asking(FEED, DEPLOY, _check_feed(worker.name, queue_arn))
    else:
        yield unknown(FEED, "not known: the queue cannot be looked at")
    if worker.reserved_concurrency == 0:
        yield unknown("model", "not known: the worker cannot be started while the kill switch is on")
    else:
        yield from asking("model", DEPLOY, _check_start(worker))


def _check_feed(name: str, queue_arn: str) -> Check[None]:
    # Asked for by the queue: which name it has for Lambda, the function's or its alias's, is the template's choice.
    feeds = client("lambda").list_event_source_mappings(EventSourceArn=queue_arn)["EventSourceMappings"]
    feeds = [feed for feed in feeds if feed["FunctionArn"].split(":")[6] == name]
    if not feeds:
        yield wrong(FEED, "nothing hands jobs to the worker: it has no event source", DEPLOY)
    for feed in feeds:
        if feed["State"] != "Enabled":
            mend = f"aws lambda update-event-source-mapping --uuid {feed['UUID']} --enabled"
            yield wrong(FEED, f"what hands jobs to the worker is {feed['State']}", mend)
        elif "ReportBatchItemFailures" not in feed.get("FunctionResponseTypes", []):
            yield wrong(FEED, "Lambda does not ask which jobs must come again, so that they are lost", DEPLOY)
        else:
            yield ok(FEED, "the queue feeds the worker")


def _check_start(worker: Function) -> Check[None]:
    """Invoke the worker with nothing to do: it has loaded its model, self-test included, before it looks at that."""
    answer = client("lambda", read_timeout=START_SECONDS).invoke(
        FunctionName=worker.name, Qualifier=ALIAS, Payload=json.dumps({"Records": []})
    )
    problem = json.loads(answer["Payload"].read())
    kind = problem.get("errorType", "")
    if "FunctionError" not in answer:
        yield ok("model", "the worker starts, and its model passes the self-test")
        return
    # The bot's own errors and the runtime's say nothing that is secret; others might.
    may_be_shown = hasattr(errors, kind) or kind.startswith("Runtime.")
    told = f"{kind}: {problem.get('errorMessage')}" if may_be_shown else kind or "no reason given"
    yield wrong("model", f"the worker does not start ({told})", f"aws logs tail {worker.log_group} --since 15m")
