"""`make fuzz` as people and CI call it: it finds what is wrong with a receiver, and finds nothing in ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

# Wrong for one signed payload in a thousand, which no unsigned request gets near.
PLANTED = """
import json
import receiver
from receiver import settings

def handler(event, context):
    answer = receiver.handler(event, context)
    if answer["statusCode"] == 200:
        payload = json.loads(event["body"])
        1 / payload.get("event_time", 1)
    return answer
"""


def fuzz(*arguments: str, python_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = os.environ | ({"PYTHONPATH": str(python_path)} if python_path else {})
    command = [sys.executable, "-m", "local.fuzz", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with a receiver that divides by what a signed payload says."""
    (tmp_path / "planted.py").write_text(PLANTED)
    return tmp_path


def test_it_finds_nothing_and_gets_every_answer() -> None:
    ended = fuzz("--seconds", "5")
    assert ended.returncode == 0, ended.stderr
    assert "nothing raised" in ended.stdout
    for status in (200, 400, 401, 413, 503):
        assert f"{status}: " in ended.stdout, f"no request was answered with {status}: {ended.stdout}"


def test_it_finds_a_planted_bug_and_keeps_the_request_that_shows_it(planted: Path) -> None:
    ended = fuzz("--seconds", "60", "--receiver", "planted", "--findings", str(planted), python_path=planted)
    assert ended.returncode == 1, ended.stdout
    *_, last = ended.stderr.splitlines()
    file = last.split()[-1]
    assert last.startswith("To see it again: python -m local.fuzz")
    again = fuzz("--receiver", "planted", file, python_path=planted)
    assert again.returncode == 1
    assert "handler" in again.stderr
    assert fuzz(file).returncode == 0, "the real receiver takes the same request"
