"""`make fuzz` as people and CI call it: it finds what is wrong with a receiver, and finds nothing in ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.fuzz.cases import seeds

ROOT = Path(__file__).parent.parent.parent

# Wrong for one signed payload in a thousand, which no seed is and no unsigned request gets near.
PLANTED = """
from toxicity_bot import receiver
from toxicity_bot.receiver import settings

def handler(event, context):
    answer = receiver.handler(event, context)
    if answer["statusCode"] == 200:
        if receiver.verified(event).get("event_time") == 0:
            1 / 0
    return answer
"""


def fuzz(*arguments: str, python_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = os.environ | ({"PYTHONPATH": str(python_path)} if python_path else {})
    command = [sys.executable, "-m", "local.fuzz", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def seed_files(tmp_path: Path) -> list[str]:
    """What the fuzzer begins with."""
    folder = tmp_path / "seeds"
    folder.mkdir()
    for name, seed in seeds().items():
        (folder / name).write_bytes(seed)
    return [str(file) for file in folder.iterdir()]


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with a receiver that divides by zero if a signed payload is of 1970."""
    (tmp_path / "planted.py").write_text(PLANTED)
    return tmp_path


def test_it_finds_nothing_and_gets_every_answer() -> None:
    ended = fuzz("--seconds", "5")
    assert ended.returncode == 0, ended.stderr
    assert "nothing raised" in ended.stdout
    for status in (200, 400, 401, 413, 503):
        assert f"{status}: " in ended.stdout, f"no request was answered with {status}: {ended.stdout}"


def test_it_finds_a_planted_bug_and_keeps_the_request_that_shows_it(planted: Path, seed_files: list[str]) -> None:
    seeds_alone = fuzz("--receiver", "planted", *seed_files, python_path=planted)
    assert seeds_alone.returncode == 0, f"no seed is to show the bug:\n{seeds_alone.stderr}"
    ended = fuzz("--seconds", "60", "--receiver", "planted", "--findings", str(planted), python_path=planted)
    assert ended.returncode == 1, ended.stdout
    *_, last = ended.stderr.splitlines()
    file = last.split()[-1]
    assert last.startswith("To see it again: python -m local.fuzz")
    again = fuzz("--receiver", "planted", file, python_path=planted)
    assert again.returncode == 1
    assert "ZeroDivisionError" in again.stderr
    assert fuzz(file).returncode == 0, "the real receiver takes the same request"
