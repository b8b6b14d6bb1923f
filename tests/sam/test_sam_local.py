"""`sam validate`, `sam build` and `sam local`: the functions as deployed, with local services.

tests/rie runs the other files in events/ with the emulator that `sam local` uses.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3

from local.aws import REGION
from local.events import Deliveries, event_callback
from local.functions import poll
from local.situations import EMOJI, REACTOR

if TYPE_CHECKING:
    from tests.sam.application import Application


def test_the_template_is_valid_and_clean(application: Application) -> None:
    application.sam("validate", "--lint")


def test_only_the_malformed_job_of_a_batch_is_redelivered(application: Application) -> None:
    failures = application.invoke("Worker", "events/worker-one-of-two-poisoned.json")["batchItemFailures"]
    assert [failure["itemIdentifier"][-1] for failure in failures] == ["0"]
    services = application.services
    assert services.outcomes(services.situations.events["toxic"]["item"]["ts"]) == ["toxic"]


def test_a_signed_request_to_the_http_api_becomes_a_verdict_in_the_thread(application: Application) -> None:
    services = application.services
    sqs = services.aws.client("sqs")
    sqs.purge_queue(QueueUrl=services.aws.queue_url)
    workspace = services.situations.workspace
    messages = [workspace.post("C0GENERAL", "U0ADA", text) for text in ("You stupid idiot.", "Well done, thank you.")]
    with application.serving("start-api") as api, application.serving("start-lambda") as functions:
        slack = Deliveries(f"{api}/slack/events", workspace.signing_secret)
        client = boto3.client(
            "lambda", endpoint_url=functions, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
        )

        def worker(batch: dict[str, Any], _: object) -> dict[str, Any]:
            answer = client.invoke(FunctionName="Worker", Payload=json.dumps(batch))
            result: dict[str, Any] = json.load(answer["Payload"])
            return result

        for message in messages:
            event = workspace.react("C0GENERAL", message["ts"], REACTOR, EMOJI)
            attempts = slack.send(event_callback(event, workspace.identity))
            assert attempts[-1].status == 200, attempts
        while poll(sqs, services.aws.queue_url, worker, wait_seconds=1, timeout_seconds=60):
            pass
    assert [services.outcomes(message["ts"]) for message in messages] == [["toxic"], ["fine"]]
