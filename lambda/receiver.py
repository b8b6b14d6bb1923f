"""Lambda handler behind the HTTP API: verify Slack's request, queue a job, acknowledge.

It imports neither onnxruntime nor numpy nor slack_sdk. The text of a shortcut or a command is passed to the worker in
memory and never stored. Responses are 200, 400, 401 and 413, and 503 if the queue or the secret store fails, so that
Slack retries the event.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from . import interactions, invocation, message_events, reactions, slack_request
from .credentials import Credentials
from .errors import RefusedRequestError, SecretStoreError, SettingError, StaleRequestError
from .observability import count, logger, measure
from .open_view import OUTDATED_TOKEN, open_view
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .report_form import Form

Response = dict[str, Any]

# Responses to requests that are refused at once, by reason.
IMMEDIATE_RESPONSES: Mapping[str, Response] = {
    "command_off": {"response_type": "ephemeral", "text": "This command is switched off here."},
    # Shown below the form's field. Otherwise the form would close as if the report had been sent.
    "reports_off": {
        "response_action": "errors",
        "errors": {"note": "Reports have been switched off. Please write to your moderators yourself."},
    },
}
NOT_SENT: Response = {
    "response_action": "errors",
    "errors": {"note": "This report could not be sent. Please write to your moderators yourself."},
}

settings = Settings.from_environ(os.environ, needs=("SLACK_SIGNING_SECRET", "JOBS_QUEUE_URL"))
credentials = Credentials(settings)
# Slack waits 3 s: two short attempts fit, boto3's default timeouts do not.
queue = boto3.client("sqs", config=Config(connect_timeout=0.5, read_timeout=0.7, retries={"total_max_attempts": 2}))


def handler(event: Mapping[str, Any], context: object) -> Response:  # noqa: ARG001 - Lambda's signature
    """Acknowledge or refuse a request, or ask Slack to retry it. No request makes the handler raise."""
    try:
        return acknowledge(verified(event))
    except RefusedRequestError as refusal:
        count("RequestRefused", refusal.reason)
        if isinstance(refusal, StaleRequestError):
            measure("ClockOffset", abs(refusal.offset), MetricUnit.Seconds)
        # The secret may have been rotated since it was read. Then Slack's next retry can succeed.
        may_be_stale = refusal.reason == "bad_signature" and credentials.recently_read
        return _response(refusal.status, "This request was refused.", no_retry=not may_be_stale)
    except (BotoCoreError, ClientError, SecretStoreError, SettingError) as error:
        # Log only the class: the text of such an error may name resources.
        logger.error("event not accepted", extra={"error": type(error).__name__})
        count("ReceiverFailed", type(error).__name__)
        return _response(503, "Please send this again later.")


def verified(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verified payload. After a bad signature, read the secret again, at most once a minute."""
    try:
        return slack_request.read(event, credentials.signing_secrets, time.time())
    except RefusedRequestError as refusal:
        if refusal.reason != "bad_signature" or not credentials.refresh():
            raise
        return slack_request.read(event, credentials.signing_secrets, time.time())


def acknowledge(payload: dict[str, Any]) -> Response:
    """Respond to a verified payload. If it needs a job, queue the job first."""
    if payload.get("type") == "url_verification":
        challenge = payload.get("challenge")
        return _response(200, json.dumps({"challenge": challenge if isinstance(challenge, str) else ""}))
    if payload.get("type") == "app_rate_limited":
        logger.warning("Slack drops events: this app exceeds 30,000 an hour")
        count("EventIgnored", "app_rate_limited")
        return _response(200)
    if payload.get("type") == "ssl_check":
        count("EventIgnored", "ssl_check")
        return _response(200)
    if payload.get("type") in interactions.TYPES:
        request = interactions.request_or_reason(payload, settings, time.time())
        if isinstance(request, str):
            count("EventIgnored", request)
            return _ignored(payload, request)
        return enqueue(request)
    is_message = message_events.is_of_message(payload)
    job = (message_events if is_message else reactions).job_or_reason(payload, settings, time.time())
    if isinstance(job, str):
        count("EventIgnored", job)
        return _response(200)
    delay = message_events.DELAY_SECONDS if is_message else 0
    queue.send_message(QueueUrl=settings.jobs_queue_url, MessageBody=job.to_json(), DelaySeconds=delay)
    count("JobQueued", job.kind)
    return _response(200)


def open_form(form: Form) -> Response:
    """Open a form for the person who asked for it. If that fails, the worker tells them."""
    token = credentials.bot_token_of(form.job.installation)
    failure = open_view(settings.api_url, token, form.trigger_id, form.view)
    if failure in OUTDATED_TOKEN and credentials.refresh():
        token = credentials.bot_token_of(form.job.installation)
        failure = open_view(settings.api_url, token, form.trigger_id, form.view)
    if failure:
        logger.warning("form not opened", extra={"why": failure})
        queue.send_message(QueueUrl=settings.jobs_queue_url, MessageBody=form.job.to_json())
    count("FormOpened", "failed" if failure else form.job.kind)
    return _response(200)


def enqueue(request: interactions.UserRequest | Form) -> Response:
    """Queue a person's request. If it has a text, invoke the worker to judge that in memory.

    The queued job is then a backup. It is delayed, and ends without an answer if the invocation has given one.
    """
    if not isinstance(request, interactions.UserRequest):
        return open_form(request)
    in_memory = bool(request.content and settings.worker_function)
    delay = invocation.BACKUP_SECONDS if in_memory else 0
    queue.send_message(QueueUrl=settings.jobs_queue_url, MessageBody=request.job.to_json(), DelaySeconds=delay)
    count("JobQueued", request.job.kind)
    if in_memory:
        count("WorkerInvoked", invocation.invoke_worker(settings.worker_function, request))
    return _response(200)


def _ignored(payload: Mapping[str, Any], reason: str) -> Response:
    """Respond to a person's request that is ignored. A form stays open, as its report was not sent."""
    answer = IMMEDIATE_RESPONSES.get(reason) or (NOT_SENT if payload["type"] == "view_submission" else None)
    return _response(200, json.dumps(answer) if answer else "")


def _response(status: int, body: str = "", *, no_retry: bool = False) -> Response:
    headers = {"content-type": "application/json" if body.startswith("{") else "text/plain; charset=utf-8"}
    if no_retry:
        headers["x-slack-no-retry"] = "1"
    return {"statusCode": status, "headers": headers, "body": body}
