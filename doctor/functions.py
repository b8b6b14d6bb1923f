"""Check the functions: their settings and state, and the worker's event source and model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from doctor.findings import DEPLOY, Check, aws_checked, client, ok, unknown, wrong
from doctor.installation import ALIAS
from toxicity_bot import errors
from toxicity_bot.settings import DEFAULTS, Settings, Thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doctor.installation import Function, Installation

# More than Lambda allows the worker to start and handle one batch.
START_SECONDS = 90
FEED = "jobs to worker"
PRIVATE = "private answers"


def check_settings(installation: Installation) -> Check[Settings]:
    """Report each missing or invalid variable. Return the settings, with defaults in place of those."""
    for part, (environ, needs) in installation.parts.items():
        _, problems = _split(environ, needs)
        for problem in problems:
            yield wrong(part, str(problem), installation.remedy)
        if not problems:
            set_here = [name for name in DEFAULTS if environ.get(name)]
            yield ok(part, f"{len(set_here)} variables are set; all are valid")
    return _split(installation.environ)[0]


def _split(environ: Mapping[str, str], needs: tuple[str, ...] = ()) -> tuple[Settings, list[errors.SettingError]]:
    """Return the settings without invalid variables, and all problems. Settings itself stops at the first problem."""
    usable, problems = dict(environ), list[errors.SettingError]()
    while True:
        try:
            return Settings.from_environ(usable, needs), problems
        except errors.SettingError as error:
            problems.append(error)
            usable.pop(error.name, None)
            needs = tuple(need for need in needs if need != error.name)


def check_function(function: Function) -> Check[None]:
    """Check that a function can run."""
    state = function.configuration.get("State", "Active")
    if function.reserved_concurrency == 0:
        lift = f"aws lambda delete-function-concurrency --function-name {function.name}"
        remedy = f"{lift} removes it; put-function-concurrency sets a limit again"
        yield wrong(function.role, "the kill switch is on: reserved concurrency is 0, so it never runs", remedy)
    elif state == "Failed":
        yield wrong(function.role, f"Lambda could not create it: {function.configuration.get('StateReason')}", DEPLOY)
    elif state == "Pending":
        yield unknown(function.role, "Lambda is still creating it", "wait a minute and run this again")
    else:
        size = f"{function.configuration['MemorySize']} MB, {function.timeout:.0f} s"
        yield ok(function.role, f"{function.name} can run ({size})")


def check_private_answers(installation: Installation, settings: Settings) -> Check[None]:
    """Check that the receiver can invoke the worker, which judges the texts of shortcuts and commands."""
    worker = installation.function("worker")
    name = settings.worker_function.rpartition(":function:")[2].partition(":")[0]
    if not (settings.shortcuts or settings.slash_command):
        yield ok(PRIVATE, "off: SHORTCUTS and SLASH_COMMAND are set to no")
    elif installation.stack and not installation.function("receiver"):
        yield unknown(PRIVATE, "not checked: the receiver, which invokes the worker, cannot be read")
    elif not name:
        fails = "the command fails if it comes with text, and the shortcut fails where the bot is not a member"
        yield wrong(PRIVATE, f"WORKER_FUNCTION of the receiver is not set: {fails}", installation.remedy)
    elif worker and worker.name != name:
        yield wrong(PRIVATE, f"the receiver invokes {name}, but the stack's worker is {worker.name}", DEPLOY)
    else:
        on = {"the shortcut": settings.shortcuts, "the command": settings.slash_command}
        yield ok(PRIVATE, f"{' and '.join(name for name, is_on in on.items() if is_on)}: the receiver invokes {name}")


def check_worker(installation: Installation, settings: Settings, queue_arn: str | None) -> Check[None]:
    """Check the worker's event source, and invoke it to check its model. Without a stack, check the model here."""
    worker = installation.function("worker")
    if not installation.stack:
        yield from _check_model(settings)
    elif not worker:
        yield unknown("model", "not checked: the worker, which contains it, cannot be read")
    else:
        if queue_arn:
            yield from aws_checked(FEED, DEPLOY, _check_feed(worker.name, queue_arn))
        else:
            yield unknown(FEED, "not checked: the queue cannot be read")
        if worker.reserved_concurrency == 0:
            yield unknown("model", "not checked: the worker cannot start while the kill switch is on")
        else:
            yield from aws_checked("model", DEPLOY, _check_start(worker))


def _check_feed(name: str, queue_arn: str) -> Check[None]:
    # Search by queue, since the mapping can name the function or its alias.
    feeds = client("lambda").list_event_source_mappings(EventSourceArn=queue_arn)["EventSourceMappings"]
    feeds = [feed for feed in feeds if feed["FunctionArn"].split(":")[6] == name]
    if not feeds:
        yield wrong(FEED, "the worker gets no jobs: it has no event source mapping", DEPLOY)
    for feed in feeds:
        if feed["State"] != "Enabled":
            enable = f"aws lambda update-event-source-mapping --uuid {feed['UUID']} --enabled"
            yield wrong(FEED, f"the worker's event source mapping is {feed['State']}", enable)
        elif "ReportBatchItemFailures" not in feed.get("FunctionResponseTypes", []):
            yield wrong(FEED, "Lambda does not retry jobs that the worker reports as failed, so they are lost", DEPLOY)
        else:
            yield ok(FEED, "the queue feeds the worker")


def _check_start(worker: Function) -> Check[None]:
    """Invoke the worker with an empty batch. It loads its model and runs the self-test first."""
    answer = client("lambda", read_timeout=START_SECONDS).invoke(
        FunctionName=worker.name, Qualifier=ALIAS, Payload=json.dumps({"Records": []})
    )
    if "FunctionError" not in answer:
        yield ok("model", "the worker starts and its model passes the self-test")
        return
    problem = json.loads(answer["Payload"].read())
    kind = problem.get("errorType", "")
    # Errors of the bot and of the Lambda runtime contain no secrets. Other errors might.
    may_be_shown = hasattr(errors, kind) or kind.startswith("Runtime.")
    sentence = f"{kind}: {problem.get('errorMessage')}" if may_be_shown else kind or "no reason given"
    yield wrong("model", f"the worker does not start ({sentence})", f"aws logs tail {worker.log_group} --since 15m")


def _check_model(settings: Settings) -> Check[None]:
    """Load the model with its self-test, as the worker does, and check the thresholds in the settings."""
    from toxicity_bot.classifier import Classifier  # the import takes a quarter of a second

    try:
        classifier = Classifier(settings.model_dir)
        toxic, maybe = settings.thresholds(Thresholds(classifier.threshold, classifier.threshold_maybe))
    except (errors.ModelError, errors.SettingError) as error:
        sentence, _, remedy = str(error).rpartition(": ")
        yield wrong("model", sentence, remedy)
    else:
        may_be = f", may be toxic from {maybe:g}" if maybe < toxic else ""
        yield ok("model", f"the model in {settings.model_dir} passes its self-test; toxic from {toxic:g}{may_be}")
