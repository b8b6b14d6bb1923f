"""The Lambda function behind the HTTP API: verify Slack's request, put a job on the queue, acknowledge.

It imports neither onnxruntime nor numpy nor slack_sdk. A text that comes with a shortcut or a command goes to the
worker in memory and nowhere else. It answers 200, 400, 401, 413, or 503 if the queue or the secret store fails, so that
Slack sends the event again.
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

# What people learn of what they asked for and do not get, by the reason.
SAID_AT_ONCE: Mapping[str, Response] = {
    "command_off": {"response_type": "ephemeral", "text": "This command is switched off here."},
    # Below the field of the form, which else would close as if the report were on its way.
    "reports_off": {
        "response_action": "errors",
        "errors": {"note": "Reports were switched off meanwhile. Please write to your moderators yourself."},
    },
}

settings = Settings.from_environ(os.environ, needs=("SLACK_SIGNING_SECRET", "JOBS_QUEUE_URL"))
credentials = Credentials(settings)
# Slack waits three seconds: two short tries fit, boto3's default time-outs do not.
queue = boto3.client("sqs", config=Config(connect_timeout=0.5, read_timeout=0.7, retries={"total_max_attempts": 2}))


def handler(event: Mapping[str, Any], context: object) -> Response:  # noqa: ARG001 - Lambda's signature
    """Acknowledge, refuse, or ask Slack to send again; no request makes it raise."""
    try:
        return acknowledge(verified(event))
    except RefusedRequestError as refusal:
        count("RequestRefused", refusal.reason)
        if isinstance(refusal, StaleRequestError):
            measure("ClockOffset", abs(refusal.offset), MetricUnit.Seconds)
        # The secret may have been rotated after it was read: then Slack's next try can succeed.
        outdated = refusal.reason == "bad_signature" and credentials.may_be_outdated
        return _response(refusal.status, "This request was refused.", no_retry=not outdated)
    except (BotoCoreError, ClientError, SecretStoreError, SettingError) as error:
        # Only the class is logged: the text of such an error may name resources.
        logger.error("could not take the event", extra={"error": type(error).__name__})
        count("ReceiverFailed", type(error).__name__)
        return _response(503, "Please send this again later.")


def verified(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verified payload; after a bad signature the secret is read again, at most once a minute."""
    try:
        return slack_request.read(event, credentials.signing_secrets, time.time())
    except RefusedRequestError as refusal:
        if refusal.reason != "bad_signature" or not credentials.refresh():
            raise
        return slack_request.read(event, credentials.signing_secrets, time.time())


def acknowledge(payload: dict[str, Any]) -> Response:
    """Answer a verified payload after its job, if there is one, is on the queue."""
    if payload.get("type") == "url_verification":
        challenge = payload.get("challenge")
        return _response(200, json.dumps({"challenge": challenge if isinstance(challenge, str) else ""}))
    if payload.get("type") == "app_rate_limited":
        logger.warning("Slack drops events: this app gets more than 30,000 an hour")
        count("EventIgnored", "app_rate_limited")
        return _response(200)
    if payload.get("type") == "ssl_check":
        count("EventIgnored", "ssl_check")
        return _response(200)
    if payload.get("type") in interactions.TYPES:
        return take(interactions.ask_or_reason(payload, settings, time.time()))
    of_message = message_events.is_of_message(payload)
    job = (message_events if of_message else reactions).job_or_reason(payload, settings, time.time())
    if isinstance(job, str):
        count("EventIgnored", job)
        return _response(200)
    delay = message_events.DELAY_SECONDS if of_message else 0
    queue.send_message(QueueUrl=settings.jobs_queue_url, MessageBody=job.to_json(), DelaySeconds=delay)
    count("JobQueued", job.kind)
    return _response(200)


def open_form(form: Form) -> Response:
    """Show a form to the person who asked for it; if Slack does not, have the worker tell them."""
    token = credentials.bot_token_of(form.job.installation)
    failure = open_view(settings.api_url, token, form.trigger_id, form.view)
    if failure in OUTDATED_TOKEN and credentials.refresh():
        token = credentials.bot_token_of(form.job.installation)
        failure = open_view(settings.api_url, token, form.trigger_id, form.view)
    if failure:
        logger.warning("a form did not open", extra={"why": failure})
        queue.send_message(QueueUrl=settings.jobs_queue_url, MessageBody=form.job.to_json())
    count("FormOpened", "failed" if failure else form.job.kind)
    return _response(200)


def take(ask: interactions.Ask | Form | str) -> Response:
    """Put what a person asks for on the queue; have a text that came with it judged at once, in memory.

    The job on the queue then is a backup: it waits, and ends at once if the invocation has answered.
    """
    if isinstance(ask, str):
        count("EventIgnored", ask)
        return _response(200, json.dumps(SAID_AT_ONCE[ask]) if ask in SAID_AT_ONCE else "")
    if not isinstance(ask, interactions.Ask):
        return open_form(ask)
    in_memory = bool(ask.given and settings.worker_function)
    delay = invocation.BACKUP_SECONDS if in_memory else 0
    queue.send_message(QueueUrl=settings.jobs_queue_url, MessageBody=ask.job.to_json(), DelaySeconds=delay)
    count("JobQueued", ask.job.kind)
    if in_memory:
        count("WorkerInvoked", invocation.hand_over(settings.worker_function, ask))
    return _response(200)


def _response(status: int, body: str = "", *, no_retry: bool = False) -> Response:
    headers = {"content-type": "application/json" if body.startswith("{") else "text/plain; charset=utf-8"}
    if no_retry:
        headers["x-slack-no-retry"] = "1"
    return {"statusCode": status, "headers": headers, "body": body}
