"""`make demo` called by people and by programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.bot import wait_for
from tests import ROOT, run_module


def demo(**environ: str) -> str:
    shown = run_module("local.demo", environ=environ)
    assert (shown.returncode, shown.stderr) == (0, "")
    return shown.stdout


def test_the_demo_shows_the_conversation_with_one_answer_per_message_and_question() -> None:
    shown = demo()
    assert shown.count("toxicity: ") == 13
    assert [shown.count(f"[Only visible to {name}]") for name in ("grace", "ada")] == [2, 2]
    for words in (
        "Likely toxic",
        "No clear sign of toxicity",
        "I can't judge",
        "What weighed most",
        "7 reactions to 6 messages",
        "grace chose \u201cCheck for toxicity\u201d",
        "[grace typed: /toxicity ",
        "Reported by @ada.",
        "[I'll look]  [Resolved]  [Not a problem]",
        "is looking at it",
        "resolved it",
        "Noted: you find this verdict right.",
    ):
        assert words in shown


def test_make_passes_the_text_unchanged_and_the_last_line_is_json() -> None:
    text = "You're a <stupid> & worthless \u201cidiot\u201d, $HOME, $(shell echo no)."
    command = ["make", "--silent", "--assume-old=.venv/local", "demo", "FORMAT=json", f"TEXT={text}"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    answer = json.loads(shown.stdout.splitlines()[-1])
    assert set(answer) == {"text", "outcome", "score", "threshold", "threshold_maybe", "reply", "milliseconds"}
    assert (answer["text"], answer["outcome"]) == (text, "toxic")
    assert 0 < answer["threshold_maybe"] <= answer["threshold"] <= answer["score"] <= 1
    assert "Likely toxic" in answer["reply"]
    assert 0 < answer["milliseconds"]["ack"] <= answer["milliseconds"]["total"]


def test_a_text_that_cannot_be_judged_has_no_score() -> None:
    answer = json.loads(demo(FORMAT="json", TEXT=":tada:").splitlines()[-1])
    assert (answer["outcome"], answer["score"]) == ("cannot_judge", None)


@pytest.mark.parametrize(("reply_to", "words"), [("reactor", "Likely toxic"), ("C0RANDOM", "could not post")])
def test_the_demo_shows_ephemeral_answers(reply_to: str, words: str) -> None:
    shown = demo(TEXT="You stupid idiot.", REPLY_TO=reply_to)
    assert "Only visible to grace" in shown
    assert words in shown


def test_with_moderators_the_demo_shows_cards_without_verdicts() -> None:
    shown = demo(REPLY_TO="moderators", AWS_PROFILE="missing")
    assert "[I'll look]  [Resolved]  [Not a problem]" in shown


def test_a_killed_demo_leaves_no_process() -> None:
    command = [sys.executable, "-m", "local.demo"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert "Starting" in process.stdout.readline()
        assert "Ready" in process.stdout.readline()
        receiver, worker = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        process.kill()
    assert wait_for(lambda: not (_is_running(receiver) or _is_running(worker)), 10, 0.05)


def _is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_demo_does_not_use_disabled_features() -> None:
    shown = demo(SHORTCUTS="no", SLASH_COMMAND="no", FEEDBACK="no")
    assert [title for title in ("In private", "A report", "Right or wrong") if title in shown] == []


@pytest.mark.parametrize(
    ("variables", "status", "advice"),
    [
        ({"TEXT": "x", "IGNORED_REACTORS": "U0GRACE"}, 1, "ignored_reactor"),
        ({"FORMAT": "xml", "TEXT": "x"}, 2, "make demo FORMAT=json TEXT="),
        ({"FORMAT": "json"}, 2, "make demo FORMAT=json TEXT="),
        ({"TEXT": ""}, 2, "TEXT is empty"),
        ({"TEXT": "  "}, 2, "TEXT is empty"),
    ],
)
def test_settings_without_an_answer_and_invalid_arguments_are_reported(
    variables: dict[str, str], status: int, advice: str
) -> None:
    refused = run_module("local.demo", environ=variables)
    assert refused.returncode == status
    assert advice in refused.stderr
