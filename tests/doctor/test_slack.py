"""Findings about Slack, the token, the scopes and the clock."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from local.faults import ErrorBody, HtmlError, RateLimited, Reset
from local.workspace import BOT_SCOPES

if TYPE_CHECKING:
    from local.slack_server import SlackServer
    from tests.doctor.conftest import Examine


def test_f43_a_revoked_token_is_named_with_slacks_word(examine: Examine, slack: SlackServer) -> None:
    slack.workspace.refuse_token("token_revoked")
    report = examine()
    assert report.mark("slack") == "wrong"
    assert "(token_revoked) -> https://api.slack.com/apps" in report.told("slack")
    assert report.mark("scopes") == "unknown"


def test_f29_each_missing_scope_is_named_with_its_use(examine: Examine, slack: SlackServer) -> None:
    slack.workspace.revoke("groups:history")
    slack.workspace.revoke("chat:write")
    report = examine()
    missing = {finding["sentence"].split(" is missing: ")[0]: finding["sentence"] for finding in report.of("scopes")}
    assert missing.keys() == {"groups:history", "chat:write"}
    assert "a private channel's message" in missing["groups:history"]
    assert report.mark("slack") == "ok"


def test_every_single_scope_is_missed(examine: Examine, slack: SlackServer) -> None:
    for scope in BOT_SCOPES:
        slack.workspace.revoke(scope)
    report = examine()
    assert {finding["sentence"].split()[0] for finding in report.of("scopes")} == BOT_SCOPES


def test_slack_out_of_reach_is_a_finding(examine: Examine, closed_port: int) -> None:
    report = examine(SLACK_API_URL=f"http://127.0.0.1:{closed_port}/api/")
    assert report.mark("slack") == "wrong"
    assert {"scopes", "clock"} <= report.subjects("unknown")
    assert {"queue", "ledger"} <= report.subjects("ok")


@pytest.mark.parametrize(
    ("fault", "mark", "words"),
    [
        (HtmlError(502), "wrong", "http_502"),
        (HtmlError(200), "wrong", "http_200"),
        (Reset(), "wrong", "does not answer as Slack does"),
        (RateLimited("30"), "unknown", "ratelimited"),
        (ErrorBody("fatal_error", 500), "wrong", "fatal_error"),
    ],
    ids=["502", "page", "reset", "rate limit", "fatal_error"],
)
def test_whatever_answers_in_slacks_place_is_a_finding(
    examine: Examine, slack: SlackServer, fault: Any, mark: str, words: str
) -> None:
    slack.faults.add("auth.test", fault)
    report = examine()
    assert report.mark("slack") == mark
    assert words in report.told("slack")
    assert slack.faults.left() == 0


@pytest.mark.parametrize(("offset", "side"), [(600, "ahead of"), (-600, "behind"), (90, "ahead of")])
def test_f10_a_clock_that_is_off_is_told_in_seconds(
    examine: Examine, request_url: str, offset: float, side: str
) -> None:
    examine.seconds_ahead = offset
    report = examine("--request-url", request_url)
    assert report.mark("clock") == "wrong"
    seconds, told_side = re.findall(r"(\d+) s (ahead of|behind) Slack's", report.told("clock"))[0]
    assert told_side == side
    assert abs(int(seconds) - abs(offset)) <= 2, "Slack's header has whole seconds"
    assert report.mark("request url") == "ok", "the challenge is signed with Slack's time"
