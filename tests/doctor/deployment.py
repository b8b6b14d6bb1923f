"""Simulate a deployed bot: a CloudFormation stack in moto, and Lambda functions that run when invoked.

The stack uses the names in template.yaml. Resources that moto's CloudFormation does not create (secrets, aliases,
expiry) are created separately.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from werkzeug.wrappers import Response

from doctor.installation import ALIAS, FUNCTIONS
from local.aws import EmbeddedAws, OneAtATime
from tests import run

STACK = "bot"
SECRET_ID = "bot/slack"

# Run the worker in a separate process. Like Lambda's runtime, describe an exception instead of raising it.
WORKER = """
import json, sys
from local.functions import LocalContext, load
try:
    failed, answer = "", load("worker").handler(json.loads(sys.argv[1]), LocalContext("worker"))
except Exception as error:
    failed, answer = "Unhandled", {"errorType": type(error).__name__, "errorMessage": str(error)}
print(json.dumps([failed, answer]))
"""


def stack_template(
    functions: Mapping[str, Mapping[str, str]], request_url: str, visibility: int = 180
) -> dict[str, Any]:
    """Return a template with these functions, given as logical ids with environment variables."""
    arn_of = {name: {"Fn::GetAtt": [name, "Arn"]} for name in ("Role", "JobsQueue", "DeadLetterQueue")}
    assumed = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    redrive = {"deadLetterTargetArn": arn_of["DeadLetterQueue"], "maxReceiveCount": 10}
    table = {
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }
    resources: dict[str, tuple[str, dict[str, Any]]] = {
        "Role": ("IAM::Role", {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [assumed]}}),
        "DeadLetterQueue": ("SQS::Queue", {}),
        "JobsQueue": ("SQS::Queue", {"VisibilityTimeout": visibility, "RedrivePolicy": redrive}),
        "LedgerTable": ("DynamoDB::Table", table),
    }
    for logical_id, variables in functions.items():
        own: dict[str, Any] = {"JOBS_QUEUE_URL": {"Ref": "JobsQueue"}, "LEDGER_TABLE": {"Ref": "LedgerTable"}}
        if logical_id == "Receiver":
            own["WORKER_FUNCTION"] = {"Fn::Sub": "${Worker}:live"}
        properties = {
            "PackageType": "Image",
            "Code": {"ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/bot:latest"},
            "Role": arn_of["Role"],
            "MemorySize": 1769,
            "Timeout": 30,
            "Environment": {"Variables": own | dict(variables)},
        }
        resources[logical_id] = ("Lambda::Function", properties)
    outputs = {
        "RequestUrl": request_url,
        "SecretId": SECRET_ID,
        "JobsQueueUrl": {"Ref": "JobsQueue"},
        "LedgerTableName": {"Ref": "LedgerTable"},
    }
    return {
        "Resources": {name: {"Type": f"AWS::{kind}", "Properties": of} for name, (kind, of) in resources.items()},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }


class Deployment:
    """The stack and the clients that change it. `resources` maps logical ids to physical ids."""

    def __init__(self, aws: EmbeddedAws, stack: dict[str, Any], secret: Mapping[str, Any]) -> None:
        self.aws = aws
        self.functions = aws.client("lambda")
        aws.client("secretsmanager").create_secret(Name=SECRET_ID, SecretString=json.dumps(secret))
        cloudformation = aws.client("cloudformation")
        cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(stack))
        resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
        self.resources = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}
        for logical_id, physical_id in self.resources.items():
            if logical_id in FUNCTIONS.values():
                self.functions.create_alias(FunctionName=physical_id, Name=ALIAS, FunctionVersion="$LATEST")
        expiry = {"Enabled": True, "AttributeName": "expiration"}
        aws.client("dynamodb").update_time_to_live(
            TableName=self.resources["LedgerTable"], TimeToLiveSpecification=expiry
        )

    def feed_worker(self, responses: Sequence[str]) -> None:
        """Connect the queue to the worker. `feed` is the id of the event source mapping."""
        sqs = self.aws.client("sqs")
        attributes = sqs.get_queue_attributes(QueueUrl=self.resources["JobsQueue"], AttributeNames=["QueueArn"])
        self.feed: str = self.functions.create_event_source_mapping(
            EventSourceArn=attributes["Attributes"]["QueueArn"],
            FunctionName=self.resources["Worker"],
            FunctionResponseTypes=responses,
        )["UUID"]


def run_functions_here(aws: EmbeddedAws, patch: pytest.MonkeyPatch) -> None:
    """Run each invoked function in a separate process. moto would need containers for that."""
    answered = OneAtATime.__call__

    def answer(turns: OneAtATime, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        *_, name, operation = environ["PATH_INFO"].split("/")
        if operation != "invocations":
            return answered(turns, environ, start_response)
        configuration = aws.client("lambda").get_function_configuration(FunctionName=name)
        event = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()
        ended = run("-c", WORKER, event, environ=configuration["Environment"]["Variables"])
        failed, result = json.loads(ended.stdout.splitlines()[-1])
        headers = {"X-Amz-Function-Error": failed} if failed else {}
        return Response(json.dumps(result), headers=headers)(environ, start_response)

    patch.setattr(OneAtATime, "__call__", answer)
    patch.setenv("AWS_ENDPOINT_URL_LAMBDA", aws.url)  # the bot's in-process tests set their own
