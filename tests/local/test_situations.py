"""The files in events/ match the code that writes them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from local.situations import FOLDER, POSTS, Morning, receiver_events, worker_events, write_all
from toxicity_bot import slack_request
from toxicity_bot.errors import StaleRequestError

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = ("local-signing-secret",)


@pytest.fixture
def morning() -> Morning:
    return Morning(time.time)


def test_the_kept_files_are_those_that_the_code_writes(morning: Morning) -> None:
    kept = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in FOLDER.glob("worker-*.json")}
    assert kept == worker_events(morning), "events/ is out of date: python -m local.situations"


def test_every_post_has_its_file_and_its_ts_is_the_same_every_day(morning: Morning) -> None:
    assert {f"worker-{post.name}" for post in POSTS} <= worker_events(morning).keys()
    assert worker_events(morning) == worker_events(Morning(lambda: 4_000_000_000.0))


def test_the_clock_is_live_once_the_morning_is_over() -> None:
    workspace = Morning(lambda: 4_000_000_000.0).workspace
    assert workspace.post("C0GENERAL", "U0ADA", "now")["ts"] == "4000000000.000000"


def test_signatures_are_of_the_moment_and_hold_five_minutes(morning: Morning) -> None:
    event = receiver_events(morning, 1_000.0)["receiver-reaction"]
    assert slack_request.read(event, SECRETS, 1_300.0)["type"] == "event_callback"
    with pytest.raises(StaleRequestError):
        slack_request.read(event, SECRETS, 1_301.0)


def test_the_writer_writes_all_of_them_and_leaves_no_parts(tmp_path: Path) -> None:
    files = write_all(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert {file.name.split("-")[0] for file in files} == {"worker", "receiver"}


def test_no_signed_file_is_kept(morning: Morning) -> None:
    ignored = (FOLDER / ".gitignore").read_text().splitlines()
    assert "receiver-*.json" in ignored
    assert all(name.startswith("receiver-") for name in receiver_events(morning, 0.0))
