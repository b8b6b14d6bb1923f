"""Findings about Slack, the token, the scopes and the clock."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from local.faults import ErrorBody, HtmlError, RateLimited, Reset
from local.workspace import BOT_SCOPES
from tests.doctor.conftest import OK, UNKNOWN

if TYPE_CHECKING:
    from local.slack_server import SlackServer
    from tests.doctor.conftest import Examine


def test_the_ceiling_of_verdicts_is_told(examine: Examine) -> None:
    examine().expect({"slack": ("ok", "about 50 verdicts a minute in a workspace, or 1 if")})


@pytest.mark.failure(43)
def test_a_revoked_token_is_found(examine: Examine, slack: SlackServer) -> None:
    slack.workspace.refuse_token("token_revoked")
    examine().expect({"slack": ("wrong", "(token_revoked) -> https://api.slack.com/apps"), "scopes": UNKNOWN})


@pytest.mark.failure(29)
@pytest.mark.parametrize("revoked", [{"groups:history", "chat:write"}, BOT_SCOPES])
def test_each_missing_scope_is_named_with_its_use(examine: Examine, slack: SlackServer, revoked: set[str]) -> None:
    for scope in revoked:
        slack.workspace.revoke(scope)
    report = examine()
    missing = {finding["sentence"].split(" is missing: ")[0]: finding["sentence"] for finding in report.of("scopes")}
    assert missing.keys() == revoked
    assert "a private channel's message" in missing["groups:history"]
    assert report.mark("slack") == "ok"


@pytest.mark.parametrize(("on", "mark"), [("yes", "wrong"), ("no", "ok")])
def test_the_scope_of_shortcuts_and_commands_is_needed_only_with_them(
    examine: Examine, slack: SlackServer, on: str, mark: str
) -> None:
    slack.workspace.revoke("commands")
    report = examine(SHORTCUTS="no", SLASH_COMMAND=on)
    report.expect({"scopes": (mark, "commands is missing" if mark == "wrong" else "are granted")})


def test_without_a_connection_to_slack_the_rest_is_examined(examine: Examine, closed_port: int) -> None:
    report = examine(SLACK_API_URL=f"http://127.0.0.1:{closed_port}/api/")
    report.expect({"slack": ("wrong",), "scopes": UNKNOWN, "clock": UNKNOWN, "queue": OK, "ledger": OK})


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
def test_an_answer_that_is_not_slacks_is_found(
    examine: Examine, slack: SlackServer, fault: Any, mark: str, words: str
) -> None:
    slack.faults.add("auth.test", fault)
    examine().expect({"slack": (mark, words)})
    assert slack.faults.left() == 0


def test_names_that_only_the_workspace_knows_are_looked_up(examine: Examine, slack: SlackServer) -> None:
    mine = {"TRIGGER_EMOJI": "biohazard"}
    examine(**mine).expect({"trigger emoji": ("unknown", "biohazard is no", "missing_scope", "write biohazard_sign")})
    slack.workspace.scopes |= {"emoji:read"}
    examine(**mine).expect({"trigger emoji": ("wrong", "biohazard is neither", "-> write biohazard_sign")})
    slack.workspace.emoji["biohazard"] = "https://example.com/biohazard.png"
    examine(**mine).expect({"trigger emoji": OK})
    assert examine(TRIGGER_EMOJI="+1::skin-tone-2").of("trigger emoji") == []


@pytest.mark.parametrize(
    ("variable", "subject"), [("REPLY_TO", "reply channel"), ("MODERATORS_CHANNEL", "moderators channel")]
)
@pytest.mark.parametrize(
    ("channel", "mark", "words"),
    [
        ("C0GENERAL", "ok", "a member of C0GENERAL"),
        ("C0RANDOM", "wrong", "not_in_channel"),
        ("C0NOWHERE", "wrong", "/invite"),
        ("C0PRIVATE", "unknown", "missing_scope"),
    ],
)
def test_the_bot_must_be_in_the_channels_of_its_verdicts_and_cards(
    examine: Examine, slack: SlackServer, variable: str, subject: str, channel: str, mark: str, words: str
) -> None:
    slack.workspace.revoke("groups:history")
    examine(**{variable: channel}).expect({subject: (mark, words)})


@pytest.mark.failure(10)
@pytest.mark.parametrize(("offset", "side"), [(600, "ahead of"), (-600, "behind"), (90, "ahead of")])
def test_a_wrong_clock_is_found_and_its_offset_named(
    examine: Examine, request_url: str, offset: float, side: str
) -> None:
    examine.seconds_ahead = offset
    report = examine("--request-url", request_url)
    report.expect({"clock": ("wrong",), "request url": OK})  # the challenge is signed with Slack's time
    seconds, told_side = re.findall(r"(\d+) s (ahead of|behind) Slack's", report.told("clock"))[0]
    assert told_side == side
    assert abs(int(seconds) - abs(offset)) <= 2, "Slack's header has whole seconds"
