"""Check the functions: their settings and state, the event source of the worker, and its model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from doctor.findings import DEPLOY, Check, asking, client, ok, unknown, wrong
from doctor.installation import ALIAS
from toxicity_bot import errors
from toxicity_bot.settings import DEFAULTS, Settings, Thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doctor.installation import Function, Installation

# Longer than Lambda lets the worker start and handle one batch.
START_SECONDS = 90
FEED = "jobs to worker"
PRIVATE = "private answers"


def check_settings(installation: Installation) -> Check[Settings]:
    """Report each variable that is missing or invalid; return the settings, with defaults for those."""
    for part, (environ, needs) in installation.parts.items():
        _, problems = _split(environ, needs)
        for problem in problems:
            yield wrong(part, str(problem), installation.remedy)
        if not problems:
            set_here = [name for name in DEFAULTS if environ.get(name)]
            yield ok(part, f"{len(set_here)} variables are set, and all are valid")
    return _split(installation.environ)[0]


def _split(environ: Mapping[str, str], needs: tuple[str, ...] = ()) -> tuple[Settings, list[errors.SettingError]]:
    """Return the settings without invalid variables, and all problems; Settings itself stops at the first one."""
    usable, problems = dict(environ), list[errors.SettingError]()
    while True:
        try:
            return Settings.from_environ(usable, needs), problems
        except errors.SettingError as error:
            problems.append(error)
            usable.pop(error.name, None)
            needs = tuple(need for need in needs if need != error.name)


def check_function(function: Function) -> Check[None]:
    """Check that it may run."""
    state = function.configuration.get("State", "Active")
    if function.reserved_concurrency == 0:
        lift = f"aws lambda delete-function-concurrency --function-name {function.name}"
        remedy = f"{lift} lifts it; put-function-concurrency sets a limit again"
        yield wrong(function.role, "the kill switch is on: its reserved concurrency is 0, so it never runs", remedy)
    elif state == "Failed":
        yield wrong(function.role, f"Lambda could not set it up: {function.configuration.get('StateReason')}", DEPLOY)
    elif state == "Pending":
        yield unknown(function.role, "Lambda is setting it up", "wait a minute and run this again")
    else:
        size = f"{function.configuration['MemorySize']} MB, {function.timeout:.0f} s"
        yield ok(function.role, f"{function.name} may run ({size})")


def check_private_answers(installation: Installation, settings: Settings) -> Check[None]:
    """Check that the receiver knows the worker, which judges the texts that come with shortcuts and commands."""
    worker = installation.worker
    name = settings.worker_function.rpartition(":function:")[2].partition(":")[0]
    if not (settings.shortcuts or settings.slash_command):
        yield ok(PRIVATE, "off: SHORTCUTS and SLASH_COMMAND are no")
    elif not name:
        fails = "a command with words fails, and so does the shortcut where the bot is no member"
        yield wrong(PRIVATE, f"the receiver does not know the worker, WORKER_FUNCTION: {fails}", installation.remedy)
    elif worker and worker.name != name:
        yield wrong(PRIVATE, f"the receiver asks {name}, and the stack's worker is {worker.name}", DEPLOY)
    else:
        on = {"the shortcut": settings.shortcuts, "the command": settings.slash_command}
        yield ok(PRIVATE, f"{' and '.join(name for name, is_on in on.items() if is_on)}: the receiver asks {name}")


def check_worker(installation: Installation, settings: Settings, queue_arn: str | None) -> Check[None]:
    """Check the worker's event source, and start it for its model; without a stack, check the model on this machine."""
    worker = installation.worker
    if not installation.stack:
        yield from _check_model(settings)
    elif not worker:
        yield unknown("model", "not checked: the worker, which holds it, cannot be read")
    else:
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
            enable = f"aws lambda update-event-source-mapping --uuid {feed['UUID']} --enabled"
            yield wrong(FEED, f"the worker's event source is {feed['State']}", enable)
        elif "ReportBatchItemFailures" not in feed.get("FunctionResponseTypes", []):
            yield wrong(FEED, "Lambda does not retry jobs that the worker reports as failed: they are lost", DEPLOY)
        else:
            yield ok(FEED, "the queue feeds the worker")


def _check_start(worker: Function) -> Check[None]:
    """Invoke the worker with an empty batch: it loads its model, with the self-test, before it handles it."""
    answer = client("lambda", read_timeout=START_SECONDS).invoke(
        FunctionName=worker.name, Qualifier=ALIAS, Payload=json.dumps({"Records": []})
    )
    if "FunctionError" not in answer:
        yield ok("model", "the worker starts, and its model passes the self-test")
        return
    problem = json.loads(answer["Payload"].read())
    kind = problem.get("errorType", "")
    # Errors of the bot and of the runtime contain no secrets; others might.
    may_be_shown = hasattr(errors, kind) or kind.startswith("Runtime.")
    sentence = f"{kind}: {problem.get('errorMessage')}" if may_be_shown else kind or "no reason given"
    yield wrong("model", f"the worker does not start ({sentence})", f"aws logs tail {worker.log_group} --since 15m")


def _check_model(settings: Settings) -> Check[None]:
    """Load the model as the worker does, with its self-test, and compare it with the settings."""
    from toxicity_bot.classifier import Classifier  # takes a quarter of a second, needed only here

    try:
        classifier = Classifier(settings.model_dir)
        toxic, maybe = settings.thresholds(Thresholds(classifier.threshold, classifier.threshold_maybe))
    except (errors.ModelError, errors.SettingError) as error:
        sentence, _, remedy = str(error).rpartition(": ")
        yield wrong("model", sentence, remedy)
    else:
        may_be = f", and may be from {maybe:g}" if maybe < toxic else ""
        yield ok("model", f"the model in {settings.model_dir} passes its self-test; toxic from {toxic:g}{may_be}")
