"""A deployed bot without AWS: a CloudFormation stack in moto, and Lambda functions that run when they are invoked.

The stack has the names of template.yaml. What moto's CloudFormation does not make (secrets, aliases, expiry) is made
beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from doctor.installation import ALIAS, FUNCTIONS
from local.serving import Server
from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from local.aws import EmbeddedAws

STACK = "bot"
SECRET_ID = "bot/slack"

# The worker in a process of its own, as Lambda's runtime would run it: what fails is described, not raised.
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
    """Return a template with these functions, by logical id, and the variables of each."""
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
    """The stack and the clients that change it; `resources` are physical ids by logical ones."""

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
        """Let the queue feed the worker; `feed` is the event source mapping's id."""
        sqs = self.aws.client("sqs")
        attributes = sqs.get_queue_attributes(QueueUrl=self.resources["JobsQueue"], AttributeNames=["QueueArn"])
        self.feed: str = self.functions.create_event_source_mapping(
            EventSourceArn=attributes["Attributes"]["QueueArn"],
            FunctionName=self.resources["Worker"],
            FunctionResponseTypes=responses,
        )["UUID"]

    def switch_off(self, logical_id: str) -> None:
        """Use a function's kill switch."""
        name = self.resources[logical_id]
        self.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)


@contextlib.contextmanager
def lambda_host(aws: EmbeddedAws) -> Iterator[str]:
    """Serve Lambda's API: functions run here when they are invoked, everything else goes on to moto."""

    @Request.application
    def answer(request: Request) -> Response:
        # Invoke is the only POST that the doctor makes.
        return invoke(request) if request.method == "POST" else forward(request)

    def invoke(request: Request) -> Response:
        name = request.path.split("/")[3]
        configuration = aws.client("lambda").get_function_configuration(FunctionName=name)
        environ = os.environ | configuration["Environment"]["Variables"]
        command = [sys.executable, "-c", WORKER, request.get_data(as_text=True)]
        run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True)
        failed, result = json.loads(run.stdout.splitlines()[-1])
        return Response(json.dumps(result), headers={"X-Amz-Function-Error": failed} if failed else {})

    def forward(request: Request) -> Response:
        onward = urllib.request.Request(aws.url + request.full_path, headers=dict(request.headers))
        try:
            with urllib.request.urlopen(onward, timeout=5) as found:
                return Response(found.read(), found.status)
        except urllib.error.HTTPError as error:
            with error:
                return Response(error.read(), error.code, {"x-amzn-ErrorType": error.headers["x-amzn-ErrorType"] or ""})

    with Server(answer) as server:
        yield server.address
