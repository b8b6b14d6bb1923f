"""`make fuzz` finds a planted bug, saves the request that triggers it, and finds no bug in the receiver."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from local import fuzz
from tests import run_module

if TYPE_CHECKING:
    from pathlib import Path

# Raises for an empty time in a correctly signed payload.
PLANTED = """
from toxicity_bot import receiver
from toxicity_bot.receiver import settings

def handler(event, context):
    answer = receiver.handler(event, context)
    if answer["statusCode"] == 200 and not receiver.verified(event).get("event_time", 1):
        1 / 0
    return answer
"""


def test_both_functions_survive_and_return_every_expected_status(tmp_path: Path) -> None:
    ended = run_module("local.fuzz", "--seconds", "8", "--findings", str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    receiver, scorer = ended.stdout.splitlines()
    for answers, statuses in ((receiver, (200, 400, 401, 413)), (scorer, (200, 400, 403, 404, 405))):
        for status in statuses:
            assert f"{status}: " in answers, f"no request was answered with {status}: {answers}"


def test_a_planted_bug_is_found_and_the_request_is_saved(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANTED)
    arguments = ["--receiver", "planted", "--findings", str(tmp_path / "findings")]
    environ = {"PYTHONPATH": str(tmp_path), "CI": "true"}  # in CI hypothesis is not random by default
    found = run_module("local.fuzz", "--seconds", "120", *arguments, environ=environ)
    assert found.returncode == 1, found.stdout
    assert "ZeroDivisionError" in found.stderr
    again = run_module("local.fuzz", "--seconds", "1", *arguments, environ=environ)
    assert again.returncode == 1, f"expected the next run to begin with the saved request: {again.stdout}"
    assert "ZeroDivisionError" in again.stderr


@pytest.mark.parametrize("wrong", [{"statusCode": 500}, {"statusCode": 503}, {"headers": {"x": 1}}, {"body": None}])
def test_a_response_that_api_gateway_cannot_use_is_a_finding(wrong: dict[str, Any]) -> None:
    answer = {"statusCode": 200, "headers": {}, "body": ""} | wrong
    receiver = SimpleNamespace(handler=lambda event, context: answer)
    with pytest.raises(ValueError, match="expected one of the statuses"):
        fuzz.check(receiver, {}, fuzz.STATUSES)
