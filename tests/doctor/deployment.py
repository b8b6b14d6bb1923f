"""A deployed bot without AWS: a CloudFormation stack in moto, and Lambda functions that run when they are invoked.

The stack has the names of template.yaml. What moto's CloudFormation does not make (secrets, aliases, expiry) is made
beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from doctor.installation import ALIAS, FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.aws import EmbeddedAws

ROOT = Path(__file__).parent.parent.parent
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
    own = {"JOBS_QUEUE_URL": {"Ref": "JobsQueue"}, "LEDGER_TABLE": {"Ref": "LedgerTable"}}
    assumed = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    properties: dict[str, tuple[str, dict[str, Any]]] = {
        "Role": ("IAM::Role", {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [assumed]}}),
        "DeadLetterQueue": ("SQS::Queue", {}),
        "JobsQueue": (
            "SQS::Queue",
            {
                "VisibilityTimeout": visibility,
                "RedrivePolicy": {"deadLetterTargetArn": arn_of["DeadLetterQueue"], "maxReceiveCount": 10},
            },
        ),
        "LedgerTable": (
            "DynamoDB::Table",
            {
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            },
        ),
    }
    for logical_id, variables in functions.items():
        code = {"ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/bot:latest"}
        sizes = {"MemorySize": 1769, "Timeout": 30}
        environment = {"Environment": {"Variables": own | dict(variables)}}
        image = {"PackageType": "Image", "Code": code, "Role": arn_of["Role"]}
        properties[logical_id] = ("Lambda::Function", image | sizes | environment)
    outputs = {
        "RequestUrl": request_url,
        "SecretId": SECRET_ID,
        "JobsQueueUrl": {"Ref": "JobsQueue"},
        "LedgerTableName": {"Ref": "LedgerTable"},
    }
    return {
        "Resources": {name: {"Type": f"AWS::{kind}", "Properties": of} for name, (kind, of) in properties.items()},
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

    def feed_worker(self, *responses: str) -> str:
        """Let the queue feed the worker; return the mapping's id."""
        sqs = self.aws.client("sqs")
        attributes = sqs.get_queue_attributes(QueueUrl=self.resources["JobsQueue"], AttributeNames=["QueueArn"])
        feed = self.functions.create_event_source_mapping(
            EventSourceArn=attributes["Attributes"]["QueueArn"],
            FunctionName=self.resources["Worker"],
            FunctionResponseTypes=list(responses),
        )
        return str(feed["UUID"])

    def switch_off(self, logical_id: str) -> str:
        """Use a function's kill switch; return the function's name."""
        name = str(self.resources[logical_id])
        self.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        return name


class LambdaHost:
    """Lambda's API: functions run here when they are invoked, everything else goes on to moto."""

    def __init__(self, aws: EmbeddedAws) -> None:
        handler = type("Handler", (_Handler,), {"aws": aws})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    aws: EmbeddedAws

    def do_GET(self) -> None:
        request = urllib.request.Request(self.aws.url + self.path, headers=dict(self.headers))
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                self._answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                self._answer(error.code, dict(error.headers), error.read())

    def do_POST(self) -> None:
        """Invoke: the only POST that the doctor makes here."""
        name = self.path.split("/")[3]
        event = self.rfile.read(int(self.headers["Content-Length"])).decode()
        configuration = self.aws.client("lambda").get_function_configuration(FunctionName=name)
        environ = os.environ | configuration["Environment"]["Variables"]
        command = [sys.executable, "-c", WORKER, event]
        run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True)
        failed, answer = json.loads(run.stdout.splitlines()[-1])
        self._answer(200, {"X-Amz-Function-Error": failed} if failed else {}, json.dumps(answer).encode())

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        kept = {name: value for name, value in headers.items() if name.lower().startswith("x-amz")}
        for name, value in {**kept, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the requests are signed with keys."""
