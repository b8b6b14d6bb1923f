"""Invoke the worker synchronously with a text that must not be stored.

Lambda stores the payload of an asynchronous invocation until it is processed. It never stores the payload of a
synchronous one. The receiver does not wait for a worker that is slow to start: the invocation continues without it.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError

from .observability import logger

if TYPE_CHECKING:
    from .interactions import UserRequest

# Seconds. Slack waits 3 s in all, and the call to the queue may have used some of them.
CONNECT_SECONDS, READ_SECONDS = 0.5, 1.5
# Seconds until the queued backup job checks whether the invocation has answered.
BACKUP_SECONDS = 15


def invoke_worker(function: str, request: UserRequest) -> str:
    """Invoke the worker. Return `answered` or how the invocation failed, as a metric value."""
    try:
        payload = json.dumps({"ask": {"job": request.job.to_json(), "given": request.content}})
        try:
            return _invoke(function, payload)
        except ConnectionClosedError:
            # The idle connection may have been closed while Lambda froze this process. The ledger prevents two answers.
            return _invoke(function, payload)
    except (ReadTimeoutError, RecursionError) as error:
        return type(error).__name__
    except (BotoCoreError, ClientError) as error:
        # An error, although the backup job runs: without a copy of the text, that job can often only apologize.
        logger.error("worker not invoked", extra={"why": type(error).__name__})
        return type(error).__name__


def _invoke(function: str, payload: str) -> str:
    answer = _client().invoke(FunctionName=function, InvocationType="RequestResponse", Payload=payload)
    answer["Payload"].read()  # otherwise the connection is neither reused nor closed
    return "FunctionError" if "FunctionError" in answer else "answered"


@functools.cache
def _client() -> Any:
    # Created on first use: it would slow the cold start, and reactions do not need it.
    config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": 1})
    return boto3.client("lambda", config=config)
