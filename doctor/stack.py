"""Read the installation to check from a CloudFormation stack: its outputs and its functions' configuration."""

from __future__ import annotations

from typing import Any

from doctor.aws import AWS_ERRORS, asking, client, refused
from doctor.findings import Check, ok, unknown, wrong
from doctor.functions import DEPLOY, Function, describe
from doctor.installation import RECEIVER_NEEDS, WORKER_NEEDS, Installation, Part

# Names in template.yaml.
FUNCTIONS = {"receiver": "Receiver", "worker": "Worker"}
VARIABLES = {"SecretId": "SLACK_SECRET_ID", "JobsQueueUrl": "JOBS_QUEUE_URL", "LedgerTableName": "LEDGER_TABLE"}

_NEEDS = {"receiver": RECEIVER_NEEDS, "worker": WORKER_NEEDS}
_DEPLOY = "make deploy: template.yaml and its parameters set it"
_WRONG_NAME = "use the name and the region of its deployment: make doctor STACK=... REGION=..."


def read_stack(name: str) -> Check[Installation | None]:
    """Return the installation, or None if the stack cannot be read."""
    return (yield from asking("stack", _WRONG_NAME, _read(name)))


def _read(name: str) -> Check[Installation]:
    cloudformation = client("cloudformation")
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    yield from check_status(name, stack["StackStatus"])
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    if lacking := [output for output in (*VARIABLES, "RequestUrl") if output not in outputs]:
        told = f"it has no output {', '.join(lacking)}: it was made from another template"
        yield wrong("stack", told, "name the bot's own stack, or make deploy")
    functions = yield from _functions({resource["LogicalResourceId"]: resource for resource in resources})
    # The outputs name the resources even if a function cannot be read.
    environ = {VARIABLES[output]: value for output, value in outputs.items() if output in VARIABLES}
    for function in functions:
        environ |= function.environ
    return Installation(
        parts=tuple(
            Part(f"{function.role} settings", function.environ, _NEEDS[function.role], _DEPLOY)
            for function in functions
        ),
        environ=environ,
        request_url=outputs.get("RequestUrl", ""),
        functions=functions,
        stack=name,
    )


def check_status(name: str, status: str) -> Check[None]:
    """Check that the last change of the stack was successful."""
    events = f"aws cloudformation describe-stack-events --stack-name {name}"
    if status.endswith("_IN_PROGRESS"):
        yield unknown("stack", f"{name} is changing right now ({status})", "wait until it is done and run this again")
    elif status == "ROLLBACK_COMPLETE":
        mend = f".venv-sam/bin/sam delete --stack-name {name} removes what is left, then make deploy; {events} says why"
        yield wrong("stack", "its first deployment failed, and it cannot be deployed over", mend)
    elif "ROLLBACK" in status or status.endswith("_FAILED"):
        yield wrong("stack", f"its last deployment failed ({status})", f"{events}, then make deploy")
    else:
        yield ok("stack", f"{name} is deployed ({status})")


def _functions(resources: dict[str, Any]) -> Check[tuple[Function, ...]]:
    functions = []
    for role, logical_id in FUNCTIONS.items():
        if logical_id in resources:
            try:
                functions.append(describe(role, resources[logical_id]["PhysicalResourceId"]))
            except AWS_ERRORS as error:
                yield refused(role, error, DEPLOY)
        else:
            yield wrong(role, f"the stack has no {logical_id}", DEPLOY)
    return tuple(functions)
