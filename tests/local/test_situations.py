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


def test_the_committed_event_files_are_up_to_date_and_do_not_depend_on_the_date(situations: Situations) -> None:
    kept = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in FOLDER.glob("worker-*.json")}
    assert kept == worker_events(situations), "events/ is out of date: python -m local.situations"
    assert {f"worker-{post.name}" for post in POSTS} <= kept.keys()
    later = Situations(lambda: 4_000_000_000.0)
    assert kept == worker_events(later)
    assert later.workspace.post("C0GENERAL", "U0ADA", "now")["ts"] == "4000000000.000000", (
        "the clock must be the fixed one"
    )


def test_signatures_are_created_on_demand_and_valid_for_five_minutes(situations: Situations) -> None:
    event = receiver_events(situations, 1_000.0)["receiver-reaction"]
    assert slack_request.read(event, SECRETS, 1_300.0)["type"] == "event_callback"
    with pytest.raises(StaleRequestError):
        slack_request.read(event, SECRETS, 1_301.0)


def test_the_writer_leaves_no_partial_files_and_git_ignores_signed_files(
    situations: Situations, tmp_path: Path
) -> None:
    files = write_all(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    signed = {file.stem for file in files if file.stem not in worker_events(situations)}
    assert signed == receiver_events(situations, 0.0).keys()
    assert all(name.startswith("receiver-") for name in signed)
    assert "receiver-*.json" in (FOLDER / ".gitignore").read_text().splitlines()
