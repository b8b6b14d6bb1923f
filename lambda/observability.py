"""Logs and metrics. They contain ids and reasons, never the text of a message.

Powertools' Logger writes JSON lines. Each count is one line in CloudWatch's embedded metric format. If a line cannot be
written, for example on a full disk, the bot continues.
"""

from __future__ import annotations

import logging
import os
import traceback
from contextlib import suppress

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

# Powertools' own variable, which `single_metric` ignores.
DISABLED = os.environ.get("POWERTOOLS_METRICS_DISABLED") == "true"
# The stack sets it to its own name, so that two bots in one account have separate metrics.
NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or "ToxicityBot"

logger = Logger(service="toxicity-bot")

# These log whole requests, replies and errors if the root logger is at DEBUG or POWERTOOLS_DEBUG is set.
for _name in ("aws_lambda_powertools", "slack_sdk", "boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def frames(error: BaseException) -> list[str]:
    """Return the stack frames of an error, innermost last, without its text, which may quote a message."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]


def count(name: str, reason: str) -> None:
    """Count one event. `reason` is its dimension and must come from a short list in the code."""
    if DISABLED:
        return
    with suppress(OSError), single_metric(name=name, unit=MetricUnit.Count, value=1, namespace=NAMESPACE) as metric:
        metric.add_dimension(name="reason", value=reason)


def measure(name: str, value: float, unit: MetricUnit = MetricUnit.Milliseconds) -> None:
    """Record one measured value."""
    if DISABLED:
        return
    with suppress(OSError), single_metric(name=name, unit=unit, value=value, namespace=NAMESPACE) as metric:
        metric.add_dimension(name="service", value="toxicity-bot")
