"""The files in events/ match the code that writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from local.situations import FOLDER, POSTS, Situations, receiver_events, worker_events, write_all
from toxicity_bot import slack_request
from toxicity_bot.errors import StaleRequestError

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = ("local-signing-secret",)


@pytest.fixture
def situations() -> Situations:
    return Situations()


def test_the_kept_files_are_those_that_the_code_writes(situations: Situations) -> None:
    kept = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in FOLDER.glob("worker-*.json")}
    assert kept == worker_events(situations), "events/ is out of date: python -m local.situations"


def test_every_post_has_its_file_and_its_ts_is_the_same_every_day(situations: Situations) -> None:
    assert {f"worker-{post.name}" for post in POSTS} <= worker_events(situations).keys()
    assert worker_events(situations) == worker_events(Situations(lambda: 4_000_000_000.0))


def test_the_clock_is_live_after_the_messages() -> None:
    workspace = Situations(lambda: 4_000_000_000.0).workspace
    assert workspace.post("C0GENERAL", "U0ADA", "now")["ts"] == "4000000000.000000"


def test_signatures_are_of_the_moment_and_hold_five_minutes(situations: Situations) -> None:
    event = receiver_events(situations, 1_000.0)["receiver-reaction"]
    assert slack_request.read(event, SECRETS, 1_300.0)["type"] == "event_callback"
    with pytest.raises(StaleRequestError):
        slack_request.read(event, SECRETS, 1_301.0)


def test_the_writer_writes_all_of_them_and_leaves_no_parts(tmp_path: Path) -> None:
    files = write_all(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert {file.name.split("-")[0] for file in files} == {"worker", "receiver"}


def test_no_signed_file_is_kept(situations: Situations) -> None:
    ignored = (FOLDER / ".gitignore").read_text().splitlines()
    assert "receiver-*.json" in ignored
    assert all(name.startswith("receiver-") for name in receiver_events(situations, 0.0))
