"""Logs and metrics: what happened and how often, by ids and reasons, never by what anyone wrote.

Powertools' Logger writes JSON lines; every count is a CloudWatch metric in the embedded format, one line each. A log
that cannot be written, on a full disk, costs nobody a verdict.
"""

from __future__ import annotations

import logging
import os
import traceback
from contextlib import suppress

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

# The stack names it after itself, so that two bots in one account are told apart.
NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or "ToxicityBot"

logger = Logger(service="toxicity-bot")

# These log whole requests, replies and errors when somebody turns the root logger to DEBUG, or sets POWERTOOLS_DEBUG.
for _name in ("aws_lambda_powertools", "slack_sdk", "boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def frames(error: BaseException) -> list[str]:
    """Return where an error came from, innermost last, without its text, which may quote what it was about."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]


def count(name: str, reason: str) -> None:
    """Count one event of a kind; `reason` is its dimension and comes from a short list in the code."""
    with suppress(OSError), single_metric(name=name, unit=MetricUnit.Count, value=1, namespace=NAMESPACE) as metric:
        metric.add_dimension(name="reason", value=reason)


def measure(name: str, value: float, unit: MetricUnit = MetricUnit.Milliseconds) -> None:
    """Record one measured value."""
    with suppress(OSError), single_metric(name=name, unit=unit, value=value, namespace=NAMESPACE) as metric:
        metric.add_dimension(name="service", value="toxicity-bot")
