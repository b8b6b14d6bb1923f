"""Findings about Slack, the token, the scopes, the clock and the request URL."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from local.faults import ErrorBody, HtmlError, RateLimited, Reset
from local.serving import Server
from local.slack_server import SlackServer
from local.workspace import BOT_SCOPES
from tests import CLOSED
from tests.doctor.conftest import OK, UNKNOWN, Examine


@pytest.mark.failure(43)
def test_a_revoked_token_is_found(examine: Examine, slack: SlackServer) -> None:
    slack.workspace.refuse_token("token_revoked")
    examine().expect({"slack": ("wrong", "(token_revoked) -> https://api.slack.com/apps"), "scopes": UNKNOWN})


@pytest.mark.failure(29)
@pytest.mark.parametrize("revoked", [{"groups:history", "chat:write"}, BOT_SCOPES])
def test_each_missing_scope_is_named_with_its_purpose(examine: Examine, slack: SlackServer, revoked: set[str]) -> None:
    for scope in revoked:
        slack.workspace.revoke(scope)
    report = examine()
    missing = {sentence.split(" is missing: ")[0]: sentence for sentence in report.of("scopes")}
    assert missing.keys() == revoked
    assert "messages in private channels" in missing["groups:history"]
    report.expect({"slack": OK})


@pytest.mark.parametrize(("on", "mark"), [("yes", "wrong"), ("no", "ok")])
def test_the_commands_scope_is_only_required_for_shortcuts_and_commands(
    examine: Examine, slack: SlackServer, on: str, mark: str
) -> None:
    slack.workspace.revoke("commands")
    report = examine(SHORTCUTS="no", SLASH_COMMAND=on)
    report.expect({"scopes": (mark, "App Manifest: paste slack/manifest.yaml" if mark == "wrong" else "are granted")})


@pytest.mark.parametrize(
    ("fault", "mark", "words"),
    [
        (HtmlError(502), "wrong", "http_502"),
        (HtmlError(200), "wrong", "http_200"),
        (Reset(), "wrong", "does not respond like Slack"),
        (RateLimited("30"), "unknown", "ratelimited"),
        (ErrorBody("fatal_error", 500), "wrong", "fatal_error"),
    ],
    ids=["502", "page", "reset", "rate limit", "fatal_error"],
)
def test_a_response_that_is_not_from_slack_is_found(
    examine: Examine, slack: SlackServer, fault: Any, mark: str, words: str
) -> None:
    slack.faults.add("auth.test", fault)
    examine().expect({"slack": (mark, words)})
    assert slack.faults.left() == 0


def test_custom_emoji_are_looked_up_in_the_workspace(examine: Examine, slack: SlackServer) -> None:
    mine = {"TRIGGER_EMOJI": "biohazard"}
    examine(**mine).expect({"trigger emoji": ("unknown", "biohazard is not", "missing_scope", "write biohazard_sign")})
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


def test_the_bot_must_be_in_the_moderators_channel_and_in_watched_channels(examine: Examine) -> None:
    entries = '{"C0GENERAL": {"watch": true}, "C0PRIVATE": {"emoji": ["biohazard"]}}'
    report = examine(MODERATORS_CHANNEL="C0RANDOM", CHANNEL_SETTINGS=entries, REPLY_TO="moderators")
    report.expect(
        {
            "watched channel": ("ok", "C0GENERAL", "message.channels"),
            "moderators channel": ("wrong", "not_in_channel", "correct MODERATORS_CHANNEL"),
            "trigger emoji": ("unknown", "biohazard is not"),
        }
    )
    assert report.of("reply channel") == []


@pytest.mark.failure(10)
@pytest.mark.parametrize(("offset", "side"), [(600, "ahead of"), (-600, "behind"), (90, "ahead of")])
def test_a_wrong_clock_is_found_with_its_offset(examine: Examine, request_url: str, offset: float, side: str) -> None:
    examine.seconds_ahead = offset
    report = examine("--request-url", request_url)
    report.expect({"clock": ("wrong",), "request url": OK})  # the challenge is signed with Slack's clock
    seconds, told_side = re.findall(r"(\d+) s (ahead of|behind) Slack's", report.told("clock"))[0]
    assert told_side == side
    assert abs(int(seconds) - abs(offset)) <= 2, "Slack's Date header has a resolution of one second"


def to_signed(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Return this response to signed requests, and the correct response to others."""
    return lambda request: answer(request) if "X-Slack-Signature" in request.headers else Response(status=401)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: Response(), "an unsigned request got 200 instead of 401"),
        (to_signed(lambda _: Response(b'{"challenge": "yesterday\'s"}')), "got 200 instead of its echo"),
        (to_signed(lambda _: Response(b"<html>Welcome</html>")), "got 200 instead of its echo"),
        (to_signed(lambda _: Response(status=503)), "the receiver cannot read its secret"),
        (
            to_signed(lambda request: Response(request.data) if request.is_json else Response(status=400)),
            "a signed form, as sent for shortcuts and commands, got 400",
        ),
    ],
    ids=["accepts everything", "another challenge", "a page", "no secret", "without shortcuts"],
)
def test_a_request_url_that_is_not_the_receiver_is_found(
    examine: Examine, answer: Callable[[Request], Response], words: str
) -> None:
    with Server(Request.application(answer)) as server:
        examine("--request-url", f"{server.address}/slack/events").expect({"request url": ("wrong", words)})


def test_a_receiver_with_another_signing_secret_or_an_unreachable_one_is_found(
    examine: Examine, request_url: str
) -> None:
    report = examine("--request-url", f"{CLOSED}/slack/events")
    report.expect({"request url": ("wrong", "no answer (connection_failed)")})
    report = examine("--request-url", request_url, SLACK_SIGNING_SECRET="another-secret")
    report.expect({"request url": ("wrong", "challenge got 401")})
