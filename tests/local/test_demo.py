"""`make demo` as people and programs call it."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests import ROOT, run_module


def test_it_shows_the_conversation_with_one_answer_to_each_message() -> None:
    shown = run_module("local.demo", environ={"TEXT": "", "FORMAT": ""})
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.count("toxicity: ") == 6
    for words in ("Likely toxic", "Probably fine", "I can't judge", "What weighed most", "7 reactions to 6 messages"):
        assert words in shown.stdout


def test_make_passes_the_text_on_unchanged_and_the_last_line_is_json() -> None:
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
    shown = run_module("local.demo", environ={"FORMAT": "json", "TEXT": ":tada:"})
    answer = json.loads(shown.stdout.splitlines()[-1])
    assert (answer["outcome"], answer["score"]) == ("cannot_judge", None)


@pytest.mark.parametrize("variables", [{"FORMAT": "xml", "TEXT": "x"}, {"FORMAT": "json", "TEXT": ""}])
def test_a_wrong_call_is_answered_with_the_right_one(variables: dict[str, str]) -> None:
    refused = run_module("local.demo", environ=variables)
    assert refused.returncode == 2
    assert "make demo FORMAT=json TEXT=" in refused.stderr
