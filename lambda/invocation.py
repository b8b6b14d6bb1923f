"""Have the worker judge a text that lies nowhere: a synchronous invocation of the Lambda function.

Lambda keeps the payload of an asynchronous invocation until it is done, and that of a synchronous one not at all. The
receiver does not wait for a worker that is slow to start: the invocation goes on without it.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

if TYPE_CHECKING:
    from .interactions import Ask

# Seconds, of the three that Slack waits; the queue may have taken some of them.
CONNECT_SECONDS, READ_SECONDS = 0.5, 1.5
# Seconds until the job of ids on the queue looks whether the invocation has answered.
BACKUP_SECONDS = 15


def hand_over(function: str, ask: Ask) -> str:
    """Invoke the worker; return `answered`, or how the invocation failed as far as is known, for a metric."""
    try:
        payload = json.dumps({"ask": {"job": ask.job.to_json(), "given": ask.given}})
        try:
            return _invoke(function, payload)
        except ConnectionClosedError:
            # As of a connection that was kept while Lambda froze this process; the ledger answers once all the same.
            return _invoke(function, payload)
    except (BotoCoreError, ClientError, RecursionError) as error:
        return type(error).__name__


def _invoke(function: str, payload: str) -> str:
    answer = _client().invoke(FunctionName=function, InvocationType="RequestResponse", Payload=payload)
    answer["Payload"].read()  # else the connection is neither kept nor closed
    return "FunctionError" if "FunctionError" in answer else "answered"


@functools.cache
def _client() -> Any:
    # Not made at the start, which reactions would pay for.
    config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": 1})
    return boto3.client("lambda", config=config)
