"""Lambda handler for the queue and for the receiver's invocations: handle each job.

The tokenizer and the model load here, once per process. A job ends when it is done or can never succeed. A job that
Slack or the ledger delays goes back to the queue for as long as they ask.
"""

from __future__ import annotations

import functools
import math
import os
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from . import opinions, turns
from .answers import Answers, give_up
from .classifier import Classifier
from .credentials import Credentials
from .errors import (
    BotError,
    ClaimedError,
    CredentialsRefusedError,
    JobError,
    LedgerError,
    RateLimitedError,
    SecretStoreError,
    SlackError,
    SlackUnavailableError,
    WrongCallError,
)
from .jobs import MAX_ATTEMPTS, MAX_DELAY_SECONDS, Job, retry_delay
from .judge import Judge
from .ledger import Ledger
from .observability import count, frames, logger, measure
from .reports import Reports
from .settings import Settings, Thresholds
from .slack_messages import SlackMessages
from .watching import Watching
from .weekly_summary import post_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

    # (job, content, *, retried) -> outcome, as a metric value
    Handler = Callable[..., str]

NO_CONTENT: Mapping[str, Any] = {}
# The function's timeout. If Slack does not confirm a post, the job looks for it once its claim has expired.
MAX_CLAIM_SECONDS = 30
# An unknown error code may be temporary: retry a few times, without an alarm.
MAX_ATTEMPTS_UNKNOWN_CODE = 3
# Six retries take longer than the 60 s between reads of the secret, so the token is current by then.
MAX_RETRIES_STALE_TOKEN = 6

settings = Settings.from_environ(os.environ, needs=("SLACK_BOT_TOKEN", "LEDGER_TABLE"))
classifier = Classifier(settings.model_dir)
thresholds = settings.thresholds(Thresholds(classifier.threshold, classifier.threshold_maybe))
credentials = Credentials(settings)
ledger = Ledger(settings.ledger_table)
queue = boto3.client("sqs", config=Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 3}))
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a batch of jobs and return the ids of those to retry. An event without records only loads the model.

    An event with `ask` comes from the receiver and has a job and its text. One with `summary` comes from the schedule.
    """
    if "ask" in event:
        ledger.set_deadline(context)
        return {"ended": handle_invocation(event["ask"])}
    if "summary" in event:
        ledger.set_deadline(context)
        slack = SlackMessages(settings.api_url, lambda: credentials.bot_token)
        try:
            return {"ended": post_summary(settings, slack, ledger)}
        except CredentialsRefusedError:
            credentials.refresh()  # for the retry, which Lambda makes a minute later
            raise
    records = [record for record in event.get("Records") or () if _is_readable(record)]
    if not records:
        return {"batchItemFailures": []}
    ledger.set_deadline(context)
    batch = {"Records": records}
    answer = process_partial_response(event=batch, record_handler=handle_record, processor=processor, context=context)
    return dict(answer)


def _is_readable(record: Any) -> bool:
    """Whether a record has the fields that SQS always sets. Without them it cannot be reported for a retry."""
    try:
        fields = record["messageId"], record["body"], record["attributes"]["ApproximateReceiveCount"]
        readable = all(isinstance(value, str) and value for value in fields) and fields[2].isdecimal()
    except (KeyError, TypeError):
        readable = False
    if not readable:
        logger.warning("malformed SQS record dropped")
        count("JobEnded", "malformed_record")
    return readable


def handle_record(record: SQSRecord) -> None:
    """Handle one job, or raise so that the queue redelivers it after a delay that depends on the error."""
    started, hits_before = time.perf_counter(), classifier.cache.hits
    attempt = int(record.attributes.approximate_receive_count)
    try:
        job = Job.from_json(record.body)
        try:
            ended = handle_job(job, attempt)
        except Exception as error:
            unconfirmed = isinstance(error, SlackUnavailableError) and error.outcome_unknown
            if attempt >= MAX_ATTEMPTS and not unconfirmed:  # the job goes to the dead-letter queue
                with suppress(BotError):
                    give_up(job, ledger, settings.api_url)
            raise
    except (SlackError, LedgerError, SecretStoreError, ClaimedError) as error:
        seconds = delay_after(error, attempt, job, record.message_id)
        _postpone(record, seconds)
        logger.warning("job postponed", extra={"record": record.message_id, "why": str(error), "seconds": seconds})
        count("JobPostponed", type(error).__name__)
        raise
    except Exception as error:
        # After any other error the queue retries the job, then moves it to the dead-letter queue, which has an alarm.
        why = str(error) if isinstance(error, BotError) else type(error).__name__
        logger.error("job failed", extra={"record": record.message_id, "why": why, "frames": frames(error)})
        count("JobFailed", type(error).__name__)
        raise
    count("JobEnded", ended)
    measure("JobDuration", (time.perf_counter() - started) * 1000)
    if reused := classifier.cache.hits - hits_before:
        measure("ScoresReused", reused, MetricUnit.Count)


def handle_invocation(ask: Mapping[str, Any]) -> str:
    """Handle a job with the text that came with it. Never raises: if this fails, the backup job runs later."""
    started = time.perf_counter()
    try:
        ended = handle_job(Job.from_json(ask["job"]), content=ask["given"])
    except Exception as error:  # Lambda would log the error's text, which may quote the message
        why = str(error) if isinstance(error, BotError) else type(error).__name__
        logger.warning("answer postponed", extra={"why": why, "frames": frames(error)})
        count("AnswerPostponed", type(error).__name__)
        return "postponed"
    count("JobEnded", ended)
    measure("AnswerDuration", (time.perf_counter() - started) * 1000)
    return ended


@functools.cache
def handlers_for(installation: str) -> Mapping[str, Handler]:
    """Return the handler for each kind of job, with the token of one installation. Most bots have one installation."""
    slack = SlackMessages(settings.api_url, lambda: credentials.bot_token_of(installation))
    judge = Judge(settings, thresholds, slack, classifier, ledger)
    answers = Answers(settings, thresholds, slack, judge, ledger)
    reports = Reports(settings, slack, judge, answers, ledger)
    watching = Watching(settings, thresholds, slack, judge, ledger)
    return {
        "reaction": lambda job, content, *, retried: judge.judge(job, retried=retried),  # noqa: ARG005
        "check": answers.check,
        "command": answers.command,
        "report": reports.report,
        "card": reports.card,
        "feedback": lambda job, content, *, retried: opinions.record(job, settings, ledger.table),  # noqa: ARG005
        "watch": watching.watch,
    }


def handle_job(job: Job, attempt: int = 1, content: Mapping[str, Any] = NO_CONTENT) -> str:
    """Handle a job and return its outcome. If Slack refuses the token, try again with a fresh one.

    A permanent refusal by Slack ends the job. `content` has the texts that travel in memory only.
    """

    def handle() -> str:
        handlers = handlers_for(job.installation)
        if job.kind not in handlers:
            raise JobError("this version does not know the kind of a job: look at it in the dead-letter queue")
        return handlers[job.kind](job, content, retried=attempt > 1)

    try:
        try:
            return handle()
        except CredentialsRefusedError as error:
            if credentials.recently_read and attempt <= MAX_RETRIES_STALE_TOKEN:
                raise SlackUnavailableError(error.method, error.code) from error  # the retry reads the secret again
            if not credentials.refresh():
                raise
            return handle()
    except CredentialsRefusedError as error:
        logger.error("Slack refuses the bot's token: reinstall the app or fix the secret", extra={"why": str(error)})
        give_up(job, ledger, settings.api_url)
        return error.code
    except SlackUnavailableError:
        raise
    except SlackError as error:
        known = isinstance(error, WrongCallError)
        if not known and attempt < MAX_ATTEMPTS_UNKNOWN_CODE:
            raise
        # A lost report needs a person.
        log = logger.error if job.kind == "report" else logger.warning
        log("Slack refuses a call: the job ends", extra={"why": str(error)})
        give_up(job, ledger, settings.api_url)
        return f"refused_{error.code}" if known else "refused"  # metric dimensions need a short list of values


def delay_after(error: Exception, attempt: int, job: Job, record: str) -> int:
    """Return the seconds that a job waits after an error. `record` is the id of its queue message."""
    if isinstance(error, RateLimitedError):
        try:
            line = f"{job.owner}/{error.method}"
            wait = turns.wait(ledger.table, line, record, error.retry_after, retried=attempt > 1)
        except LedgerError as failure:
            logger.warning("no turn given", extra={"error": failure.code})
            wait = 0
        if wait:
            return math.ceil(wait + random.random())  # noqa: S311 - jitter, not a secret
        # Back off beyond what Slack asks: it accepts one post per second and channel, and a job has ten attempts.
        return min(MAX_DELAY_SECONDS, error.retry_after + retry_delay(attempt))
    if isinstance(error, SlackUnavailableError) and error.outcome_unknown:
        return max(MAX_CLAIM_SECONDS, retry_delay(attempt))
    if isinstance(error, ClaimedError):
        return min(MAX_DELAY_SECONDS, error.seconds + retry_delay(attempt))
    return retry_delay(attempt)


def _postpone(record: SQSRecord, seconds: int) -> None:
    """Make the job wait in the queue, not in the function. If that fails, its visibility timeout applies."""
    try:
        queue.change_message_visibility(
            QueueUrl=settings.jobs_queue_url or record.queue_url,
            ReceiptHandle=record.receipt_handle,
            VisibilityTimeout=seconds,
        )
    except (BotoCoreError, ClientError, KeyError) as error:  # KeyError: a record without its receipt handle
        logger.warning("visibility not changed", extra={"error": type(error).__name__})
