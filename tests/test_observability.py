from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from toxicity_bot.observability import NAMESPACE, count, frames, logger, measure

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_count_is_one_line_in_cloudwatchs_embedded_format(capsys: pytest.CaptureFixture[str]) -> None:
    count("RequestRefused", "bad_signature")
    line = json.loads(capsys.readouterr().out)
    assert (line["RequestRefused"], line["reason"]) == ([1.0], "bad_signature")
    (metrics,) = line["_aws"]["CloudWatchMetrics"]
    assert metrics["Namespace"] == NAMESPACE
    assert metrics["Dimensions"] == [["reason"]]
    assert metrics["Metrics"] == [{"Name": "RequestRefused", "Unit": "Count"}]


def test_a_measure_carries_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    measure("JobDuration", 12.5)
    line = json.loads(capsys.readouterr().out)
    assert line["JobDuration"] == [12.5]
    assert line["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "JobDuration", "Unit": "Milliseconds"}]


def test_a_log_line_is_json_with_its_fields(output: Callable[[], str]) -> None:
    logger.warning("job postponed", extra={"seconds": 7})
    line = json.loads(output())
    assert (line["level"], line["message"], line["seconds"]) == ("WARNING", "job postponed", 7)


def test_a_log_that_is_full_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", full)
        monkeypatch.setattr(logger.registered_handler, "stream", full)
        with pytest.raises(OSError, match="No space left"):
            print("anything")
        count("JobEnded", "toxic")
        measure("JobDuration", 12.5)
        logger.warning("job postponed")
        monkeypatch.undo()
        with suppress(OSError):
            full.close()


def test_frames_tell_where_and_not_what() -> None:
    def fail() -> None:
        raise ValueError("canary")

    try:
        fail()
    except ValueError as error:
        found = frames(error)
    assert found[-1].endswith(" fail")
    assert "canary" not in "".join(found)


@pytest.mark.parametrize(
    "name",
    [
        "slack_sdk",
        "slack_sdk.web.client",
        "botocore.endpoint",
        "urllib3.connectionpool",
        "aws_lambda_powertools.utilities.batch.base",
    ],
)
def test_f57_libraries_that_log_requests_stay_quiet_when_the_root_logger_is_at_debug(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert logging.getLogger("anything.else").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger(name).isEnabledFor(logging.ERROR)
