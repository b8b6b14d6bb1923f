"""Embedded AWS: moto's server with the job queue, its dead-letter queue and the ledger table.

boto3 calls real HTTP endpoints. Nothing is patched.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from local.serving import Server
from toxicity_bot.jobs import MAX_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

REGION = "eu-west-1"
VISIBILITY_SECONDS = 180  # the worker's timeout x 6
NO_CONFIGURATION = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
POLL_INTERVAL = 0.2  # seconds between short polls: a delayed message becomes visible without any request


class EmbeddedAws(Server):
    """The queues and the table. `environ` has their addresses and names.

    `around` can wrap the WSGI application of the services in another one. This process then ignores the user's AWS
    configuration: moto would read it too, and it may name a missing profile or be malformed.
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        around: Callable[[WSGIApplication], WSGIApplication] = lambda application: application,
    ) -> None:
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
            os.environ.pop(name, None)
        os.environ |= NO_CONFIGURATION
        super().__init__(around(OneAtATime(DomainDispatcherApplication(create_backend_app))), host, port)
        self.url = self.address

    def __enter__(self) -> Self:
        self.start()
        self.create()
        return self

    def close(self) -> None:
        self.clear()
        super().close()

    def create(self) -> None:
        """Create the queues and the table."""
        self._sqs, self.table = self.client("sqs"), "verdicts"
        self.dead_letter_queue_url = dead = self._sqs.create_queue(QueueName="jobs-dead")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
        redrive = {"deadLetterTargetArn": attributes["QueueArn"], "maxReceiveCount": MAX_ATTEMPTS}
        attributes = {"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": str(VISIBILITY_SECONDS)}
        self.queue_url = self._sqs.create_queue(QueueName="jobs", Attributes=attributes)["QueueUrl"]
        dynamodb = self.client("dynamodb")
        dynamodb.create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        specification = {"Enabled": True, "AttributeName": "expiration"}
        dynamodb.update_time_to_live(TableName=self.table, TimeToLiveSpecification=specification)

    def clear(self) -> None:
        """Remove everything, for all servers in this process, since they share their state."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        urllib.request.urlopen(request, timeout=60).close()  # returns after the requests in progress

    @property
    def environ(self) -> dict[str, str]:
        """The environment for a process that uses these services, without the user's AWS configuration."""
        return aws_environ(self.url) | {"JOBS_QUEUE_URL": self.queue_url, "LEDGER_TABLE": self.table}

    def client(self, service: str) -> Any:
        """Return a boto3 client for these services."""
        return boto3.client(
            service,  # type: ignore[call-overload]  # any service's name
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def waiting(self) -> int:
        """Return the number of jobs waiting, postponed or in flight, without backup jobs that are not due."""
        # A job that becomes visible between the two counts is in neither, so confirm that the queue is empty.
        return self._counted() or self._counted()

    def row(self, key: str) -> dict[str, str]:
        """Return a row of the table without DynamoDB's type letters, or an empty dict if there is none."""
        item = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].get_item(self.table, {"id": {"S": key}})
        return {name: str(value.value) for name, value in item.attrs.items()} if item else {}

    def set_visibility_timeout(self, seconds: int) -> None:
        """Set the visibility timeout, after which another worker gets the job of a killed one."""
        self._sqs.set_queue_attributes(QueueUrl=self.queue_url, Attributes={"VisibilityTimeout": str(seconds)})

    def _counted(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)


def aws_environ(url: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment with the AWS settings replaced, so that calls can only go to `url`."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("AWS_", "SLACK_"))}
    return (
        kept
        | NO_CONFIGURATION
        | {
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
    )


class OneAtATime:
    """A WSGI application that passes one request at a time to another one.

    moto's queues and tables are plain Python objects. Two threads in `DeleteMessage` and `SendMessage` can lose a
    message, and two conditional writes can both succeed. A long poll would hold the lock for seconds, so it is replaced
    by short polls after each sent message and at intervals.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._lock = threading.Condition()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET")
        if operation == "AmazonSQS.ReceiveMessage":
            return self._poll(environ, start_response)
        with self._lock:
            answer = list(self._application(environ, start_response))
            if operation == "AmazonSQS.SendMessage":
                self._lock.notify_all()
            return answer

    def _poll(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        params = json.loads(Request(environ).get_data())
        ends = time.monotonic() + int(params.get("WaitTimeSeconds") or 0)
        body = json.dumps(params | {"WaitTimeSeconds": 0}).encode()
        with self._lock:
            while True:
                again = environ | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
                answer = Response.from_app(self._application, again)
                left = ends - time.monotonic()
                if left <= 0 or json.loads(answer.get_data()).get("Messages") or answer.status_code != 200:
                    return answer(environ, start_response)
                self._lock.wait(min(left, POLL_INTERVAL))
