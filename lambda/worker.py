"""Lambda handler of the queue, and of the receiver's invocations: take each job to its end.

The tokenizer and the session load here, once per process. A job that is done, or can never be done, ends. A job that
Slack or the ledger delays goes back to the queue for as long as they ask.
"""

from __future__ import annotations

import functools
import math
import os
import random
import time
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from . import turns
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
from .jobs import LONGEST_DELAY, Job, retry_delay
from .judge import Judge
from .ledger import Ledger
from .observability import count, frames, logger, measure
from .opinions import take
from .reports import Reports
from .settings import Settings, Thresholds
from .slack_messages import SlackMessages
from .watching import Watching
from .weekly_summary import post_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

    # (job, given, *, retried) -> how it ended, as a value for a metric
    Handler = Callable[..., str]

NOTHING: Mapping[str, Any] = {}
# Seconds, the function's time-out. After a post without an answer, the job looks for it once its claim has ended.
LONGEST_CLAIM = 30
# Nobody knows whether time helps against an error code that is not known: a few tries, and no alarm.
TRIES_WITH_AN_UNKNOWN_CODE = 3
# Six retries outlast the 60 s between reads of the secret, so the token is current by then.
TRIES_WITH_AN_OLD_TOKEN = 6

settings = Settings.from_environ(os.environ, needs=("SLACK_BOT_TOKEN", "LEDGER_TABLE"))
classifier = Classifier(settings.model_dir)
thresholds = settings.thresholds(Thresholds(classifier.threshold, classifier.threshold_maybe))
credentials = Credentials(settings)
ledger = Ledger(settings.ledger_table)
queue = boto3.client("sqs", config=Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 3}))
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Judge a batch of jobs; return the ids of those to retry. An event without records only loads the model.

    An event with `ask` is the receiver's: a job with the text that came with it. One with `summary` is the schedule's.
    """
    if "ask" in event:
        ledger.lease_until_end_of(context)
        return {"ended": answer_at_once(event["ask"])}
    if "summary" in event:
        ledger.lease_until_end_of(context)
        slack = SlackMessages(settings.api_url, lambda: credentials.bot_token)
        try:
            return {"ended": post_summary(settings, slack, ledger)}
        except CredentialsRefusedError:
            credentials.refresh()  # for the retry, which Lambda makes a minute later
            raise
    records = [record for record in event.get("Records") or () if _is_readable(record)]
    if not records:
        return {"batchItemFailures": []}
    ledger.lease_until_end_of(context)
    batch = {"Records": records}
    answer = process_partial_response(event=batch, record_handler=judge_record, processor=processor, context=context)
    return dict(answer)


def _is_readable(record: Any) -> bool:
    """Whether a record has the fields that SQS always gives. Without them the queue cannot be told what to retry."""
    try:
        given = record["messageId"], record["body"], record["attributes"]["ApproximateReceiveCount"]
        readable = all(isinstance(value, str) and value for value in given) and given[2].isdecimal()
    except (KeyError, TypeError):
        readable = False
    if not readable:
        logger.warning("a record that is not as SQS makes them ends here")
        count("JobEnded", "malformed_record")
    return readable


def judge_record(record: SQSRecord) -> None:
    """Take one job to its end, or raise so that the queue delivers it again after the pause that the error asks for."""
    started, known = time.perf_counter(), classifier.cache.hits
    attempt = int(record.attributes.approximate_receive_count)
    try:
        job = Job.from_json(record.body)
        ended = end_of(job, attempt)
    except (SlackError, LedgerError, SecretStoreError, ClaimedError) as error:
        seconds = pause(error, attempt, job, record.message_id)
        _come_back(record, seconds)
        logger.warning("job postponed", extra={"record": record.message_id, "why": str(error), "seconds": seconds})
        count("JobPostponed", type(error).__name__)
        raise
    except Exception as error:
        # Any other error: the queue retries the job, then moves it to the dead-letter queue, which has an alarm.
        why = str(error) if isinstance(error, BotError) else type(error).__name__
        logger.error("job failed", extra={"record": record.message_id, "why": why, "frames": frames(error)})
        count("JobFailed", type(error).__name__)
        raise
    count("JobEnded", ended)
    measure("JobDuration", (time.perf_counter() - started) * 1000)
    if reused := classifier.cache.hits - known:
        measure("ScoresReused", reused, MetricUnit.Count)


def answer_at_once(ask: Mapping[str, Any]) -> str:
    """Take a job to its end with the text that came with it; it never raises, since the backup job comes later."""
    started = time.perf_counter()
    try:
        ended = end_of(Job.from_json(ask["job"]), given=ask["given"])
    except Exception as error:  # Lambda would log its text, which may quote the message
        why = str(error) if isinstance(error, BotError) else type(error).__name__
        logger.warning("not answered at once", extra={"why": why, "frames": frames(error)})
        count("AnswerPostponed", type(error).__name__)
        return "postponed"
    count("JobEnded", ended)
    measure("AnswerDuration", (time.perf_counter() - started) * 1000)
    return ended


@functools.cache
def handlers_for(installation: str) -> Mapping[str, Handler]:
    """Return what takes a job of each kind to its end, with the token of one installation; most bots have one."""
    slack = SlackMessages(settings.api_url, lambda: credentials.bot_token_of(installation))
    judge = Judge(settings, thresholds, slack, classifier, ledger)
    answers = Answers(settings, thresholds, slack, judge, ledger)
    reports = Reports(settings, slack, judge, answers, ledger)
    watching = Watching(settings, thresholds, slack, judge, ledger)
    return {
        "reaction": lambda job, given, *, retried: judge.judge(job, retried=retried),  # noqa: ARG005
        "check": answers.check,
        "command": answers.command,
        "report": reports.report,
        "card": reports.card,
        "feedback": lambda job, given, *, retried: take(job, settings, ledger.table),  # noqa: ARG005
        "watch": watching.watch,
    }


def end_of(job: Job, attempt: int = 1, given: Mapping[str, Any] = NOTHING) -> str:
    """Take a job to its end, again with a fresh token if Slack refuses the old one.

    What Slack refuses for good ends the job. `given` is what travels in memory only.
    """

    def handle() -> str:
        handlers = handlers_for(job.installation)
        if job.kind not in handlers:
            raise JobError("a job is of a kind that this version does not know: look at it in the dead-letter queue")
        return handlers[job.kind](job, given, retried=attempt > 1)

    try:
        try:
            return handle()
        except CredentialsRefusedError as error:
            if credentials.may_be_outdated and attempt <= TRIES_WITH_AN_OLD_TOKEN:
                raise SlackUnavailableError(error.method, error.code) from error  # the retry reads the secret again
            if not credentials.refresh():
                raise
            return handle()
    except CredentialsRefusedError as error:
        logger.error(
            "Slack refuses the bot's token: install the app again or mend the secret", extra={"why": str(error)}
        )
        give_up(job, ledger, settings.api_url)
        return error.code
    except SlackUnavailableError:
        raise
    except SlackError as error:
        known = isinstance(error, WrongCallError)
        if not known and attempt < TRIES_WITH_AN_UNKNOWN_CODE:
            raise
        logger.warning("Slack refuses a call, so the job ends", extra={"why": str(error)})
        give_up(job, ledger, settings.api_url)
        return f"refused_{error.code}" if known else "refused"  # a dimension of a metric comes from a short list


def pause(error: Exception, attempt: int, job: Job, record: str) -> int:
    """Return the seconds that a job waits after an error; `record` is the id of its message on the queue."""
    if isinstance(error, RateLimitedError):
        try:
            line = f"{job.owner}/{error.method}"
            wait = turns.wait(ledger.table, line, record, error.retry_after, retried=attempt > 1)
        except LedgerError as failure:
            logger.warning("no turn given", extra={"error": failure.code})
            wait = 0
        if wait:
            return math.ceil(wait + random.random())  # noqa: S311 - jitter, not a secret
        # Back off on top of what Slack asks: it takes a post a second per channel; a job has ten tries.
        return min(LONGEST_DELAY, error.retry_after + retry_delay(attempt))
    if isinstance(error, SlackUnavailableError) and error.may_yet_happen:
        return max(LONGEST_CLAIM, retry_delay(attempt))
    if isinstance(error, ClaimedError):
        return min(LONGEST_DELAY, error.seconds + retry_delay(attempt))
    return retry_delay(attempt)


def _come_back(record: SQSRecord, seconds: int) -> None:
    """Let the job wait in the queue, not in the function; if that fails, its visibility time-out decides."""
    try:
        queue.change_message_visibility(
            QueueUrl=settings.jobs_queue_url or record.queue_url,
            ReceiptHandle=record.receipt_handle,
            VisibilityTimeout=seconds,
        )
    except (BotoCoreError, ClientError, KeyError) as error:  # KeyError: a record without its receipt handle
        logger.warning("visibility not changed", extra={"error": type(error).__name__})
