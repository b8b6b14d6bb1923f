"""The installation to check, as a CloudFormation stack or the environment of this process describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doctor.findings import AWS_ERRORS, DEPLOY, Check, aws_checked, aws_exception, client, ok, unknown, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

# Names in template.yaml. ALIAS is its AutoPublishAlias.
ALIAS = "live"
FUNCTIONS = {"receiver": "Receiver", "worker": "Worker", "scorer": "Scorer"}
OPTIONAL = "scorer"  # exists with ScoringApi=yes
VARIABLES = {"SecretId": "SLACK_SECRET_ID", "JobsQueueUrl": "JOBS_QUEUE_URL", "LedgerTableName": "LEDGER_TABLE"}

_NEEDS = {
    "receiver": ("SLACK_SIGNING_SECRET", "JOBS_QUEUE_URL"),
    "worker": ("SLACK_BOT_TOKEN", "LEDGER_TABLE"),
    "scorer": (),
}
_WRONG_NAME = "use the name and the region of its deployment: make doctor STACK=... REGION=..."


@dataclass(frozen=True)
class Function:
    """A function as Lambda describes it: the configuration of the alias's version, and the reserved concurrency."""

    role: str
    name: str
    configuration: Mapping[str, Any]
    reserved_concurrency: int | None

    @classmethod
    def describe(cls, role: str, name: str) -> Function:
        """Return the function. Raises boto3's errors."""
        functions = client("lambda")
        configuration = functions.get_function_configuration(FunctionName=name, Qualifier=ALIAS)
        concurrency = functions.get_function_concurrency(FunctionName=name)
        return cls(role, name, configuration, concurrency.get("ReservedConcurrentExecutions"))

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


@dataclass(frozen=True)
class Installation:
    """All environment variables of the functions, and the stack's functions that this identity is allowed to read."""

    environ: Mapping[str, str] = field(repr=False)
    request_url: str = ""
    functions: tuple[Function, ...] = ()
    stack: str = ""

    @property
    def parts(self) -> dict[str, tuple[Mapping[str, str], tuple[str, ...]]]:
        """The variables of each function, and the names it requires. Without a stack, both share the environment."""
        if not self.stack:
            return {"settings": (self.environ, _NEEDS["receiver"] + _NEEDS["worker"])}
        return {f"{one.role} settings": (one.environ, _NEEDS[one.role]) for one in self.functions}

    @property
    def remedy(self) -> str:
        """How to set a variable."""
        if self.stack:
            return "make deploy: template.yaml and its parameters set it"
        return "set it in the environment of the bot; docs/configuration.md explains each variable"

    def function(self, role: str) -> Function | None:
        """Return a function of the stack, or None if it cannot be read."""
        return next((function for function in self.functions if function.role == role), None)


def read_stack(name: str) -> Check[Installation | None]:
    """Return the installation, or None if the stack cannot be read."""
    return (yield from aws_checked("stack", _WRONG_NAME, _read(name)))


def outputs_of(stack: Mapping[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _read(name: str) -> Check[Installation]:
    cloudformation = client("cloudformation")
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    yield from check_status(name, stack["StackStatus"])
    outputs = outputs_of(stack)
    if missing := [output for output in (*VARIABLES, "RequestUrl") if output not in outputs]:
        sentence = f"it has no output {', '.join(missing)}: it was created from another template"
        yield wrong("stack", sentence, "name the bot's own stack, or make deploy")
    functions = yield from _functions({one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources})
    # The outputs name the resources, even if a function cannot be read.
    environ = {VARIABLES[output]: value for output, value in outputs.items() if output in VARIABLES}
    for function in functions:
        environ |= function.environ
    return Installation(environ, outputs.get("RequestUrl", ""), functions, name)


def check_status(name: str, status: str) -> Check[None]:
    """Check that the last deployment of the stack succeeded."""
    events = f"aws cloudformation describe-stack-events --stack-name {name}"
    if status == "REVIEW_IN_PROGRESS":
        yield wrong("stack", f"{name} was never deployed", "make deploy, and answer y to Deploy this changeset?")
    elif status.endswith("_IN_PROGRESS"):
        yield unknown("stack", f"{name} is being changed ({status})", "wait until it is done and run this again")
    elif status == "ROLLBACK_COMPLETE":
        delete = f".venv-sam/bin/sam delete --stack-name {name} removes what is left"
        remedy = f"{delete}, then make deploy; {events} says why"
        yield wrong("stack", "its first deployment failed; delete the stack before you deploy again", remedy)
    elif "ROLLBACK" in status or status.endswith("_FAILED"):
        yield wrong("stack", f"its last deployment failed ({status})", f"{events}, then make deploy")
    else:
        yield ok("stack", f"{name} is deployed ({status})")


def _functions(resources: dict[str, str]) -> Check[tuple[Function, ...]]:
    functions = []
    for role, logical_id in FUNCTIONS.items():
        if logical_id not in resources:
            if role == OPTIONAL:
                continue
            yield wrong(role, f"the stack has no {logical_id}", DEPLOY)
            continue
        try:
            functions.append(Function.describe(role, resources[logical_id]))
        except AWS_ERRORS as error:
            yield aws_exception(role, error, DEPLOY)
    return tuple(functions)
