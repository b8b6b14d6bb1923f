import json
import logging
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from toxicity_bot.observability import NAMESPACE, count, logger, measure


def test_a_count_and_a_measurement_are_lines_in_the_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    count("RequestRefused", "bad_signature")
    measure("JobDuration", 12.5)
    line, measured = map(json.loads, capsys.readouterr().out.splitlines())
    assert measured["JobDuration"] == [12.5]
    assert measured["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "JobDuration", "Unit": "Milliseconds"}]
    assert (line["RequestRefused"], line["reason"]) == ([1.0], "bad_signature")
    (metrics,) = line["_aws"]["CloudWatchMetrics"]
    assert metrics["Namespace"] == NAMESPACE
    assert metrics["Dimensions"] == [["reason"]]
    assert metrics["Metrics"] == [{"Name": "RequestRefused", "Unit": "Count"}]


def test_a_full_disk_for_logs_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(
    "name", ["slack_sdk.web.client", "botocore.endpoint", "urllib3.connectionpool", "aws_lambda_powertools.utilities"]
)
def test_libraries_that_log_requests_stay_quiet_at_debug(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert logging.getLogger("anything.else").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger(name).isEnabledFor(logging.ERROR)
