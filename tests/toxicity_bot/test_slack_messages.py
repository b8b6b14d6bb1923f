from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from local.faults import ErrorBody, Fault, HtmlError, RateLimited, Reply, Reset
from toxicity_bot import slack_messages
from toxicity_bot.errors import (
    ChannelRestrictedError,
    CredentialsRefusedError,
    MessageGoneError,
    NotPermittedError,
    RateLimitedError,
    SlackError,
    SlackUnavailableError,
)
from toxicity_bot.slack_messages import EVENT_TYPE, SlackMessages

if TYPE_CHECKING:
    import threading

    from local.slack_server import SlackServer
    from local.workspace import Message as Raw

GENERAL = "C0GENERAL"
KEY = "T0LOCAL/C0GENERAL/1731000000.000100/"


@dataclass(frozen=True)
class Answer(Fault):
    """Answers with `reply` and does no work."""

    reply: Reply

    def before(self, _closing: threading.Event) -> Reply:
        return self.reply


@pytest.fixture
def messages(slack: SlackServer) -> SlackMessages:
    return SlackMessages(slack.url, lambda: slack.workspace.token)


def write(slack: SlackServer, text: str = "Good morning.", user: str = "U0ADA", **more: Any) -> Raw:
    return slack.workspace.post(GENERAL, user, text, **more)


def failed_fetch(slack: SlackServer, messages: SlackMessages, fault: Fault) -> SlackError:
    """Return the error of a fetch that meets the fault."""
    slack.faults.add("conversations.history", fault)
    with pytest.raises(SlackError) as failure:
        messages.fetch(GENERAL, "1731000000.000100")
    return failure.value


# Fetching.


def test_a_message_is_fetched_by_its_ts(slack: SlackServer, messages: SlackMessages) -> None:
    write(slack, "Earlier.")
    wanted = write(slack, "You are late.")
    write(slack, "Later.")
    found = messages.fetch(GENERAL, wanted["ts"])
    assert (found.ts, found.thread_ts, found.edited_ts, found.bot_id) == (wanted["ts"], wanted["ts"], "", "")
    assert found.raw["text"] == "You are late."


def test_a_neighbour_and_the_tombstone_of_a_deleted_thread_root_are_not_the_message(
    slack: SlackServer, messages: SlackMessages
) -> None:
    parent = write(slack)
    for method in ("conversations.history", "conversations.replies"):
        slack.faults.add(method, Answer(Reply.of({"ok": True, "messages": [parent]})))
    with pytest.raises(MessageGoneError):
        messages.fetch(GENERAL, "1731000000.000100")
    assert slack.faults.left() == 0
    write(slack, thread_ts=parent["ts"])
    slack.workspace.delete(GENERAL, parent["ts"])
    assert slack.workspace.message(GENERAL, parent["ts"])["subtype"] == "tombstone"
    with pytest.raises(MessageGoneError):
        messages.fetch(GENERAL, parent["ts"])


def test_the_bot_recognizes_its_own_messages(slack: SlackServer, messages: SlackMessages) -> None:
    own = messages.fetch(GENERAL, messages.post(GENERAL, "Hello.", {}))
    anothers = messages.fetch(GENERAL, write(slack, user="U0DEPLOYBOT")["ts"])
    persons = messages.fetch(GENERAL, write(slack)["ts"])
    assert [messages.is_own(message) for message in (own, anothers, persons)] == [True, False, False]
    assert len(slack.calls_of("auth.test")) == 1, "who the bot is does not change"


def test_a_reaction_counts_under_each_of_its_names_until_it_is_removed(
    slack: SlackServer, messages: SlackMessages
) -> None:
    message = messages.fetch(GENERAL, write(slack)["ts"])
    assert not messages.still_reacted(message, ["thumbsup"])
    slack.workspace.react(GENERAL, message.ts, "U0GRACE", "+1::skin-tone-2")
    assert messages.still_reacted(message, ["tada", "thumbsup"])
    assert not messages.still_reacted(message, ["tada"])
    slack.workspace.unreact(GENERAL, message.ts, "U0GRACE", "+1::skin-tone-2")
    assert not messages.still_reacted(message, ["thumbsup"])


# Finding an earlier verdict.


@pytest.mark.parametrize("replies", [0, 1, 5, 6, 7, 23])
def test_a_verdict_is_found_by_its_key_at_the_end_of_a_thread(
    replies: int, slack: SlackServer, messages: SlackMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_messages, "PAGE", 3)
    root = write(slack)["ts"]
    for number in range(replies):
        write(slack, f"Reply {number}.", thread_ts=root)
    messages.post(GENERAL, "Another's.", {"key": "another"}, root)
    posted = messages.post(GENERAL, "The verdict.", {"key": KEY}, root)
    assert messages.find_verdict(GENERAL, root, KEY, since=root) == posted
    assert messages.find_verdict(GENERAL, root, "a third", since=root) is None


@pytest.mark.parametrize(
    ("user", "metadata"),
    [
        ("U0DEPLOYBOT", {"event_type": EVENT_TYPE, "event_payload": {"key": KEY}}),
        ("U0ADA", {"event_type": EVENT_TYPE, "event_payload": {"key": KEY}}),
        ("U0TOXICITY", {"event_type": "task_created", "event_payload": {"key": KEY}}),
        ("U0TOXICITY", {"event_type": EVENT_TYPE, "event_payload": {}}),
    ],
)
def test_metadata_of_another_author_or_type_is_not_a_verdict(
    user: str, metadata: dict[str, Any], slack: SlackServer, messages: SlackMessages
) -> None:
    root = write(slack)["ts"]
    write(slack, user=user, thread_ts=root, metadata=metadata)
    assert messages.find_verdict(GENERAL, root, KEY, since=root) is None


# Posting.


def test_a_post_has_its_thread_and_metadata_and_no_previews(slack: SlackServer, messages: SlackMessages) -> None:
    root = write(slack)["ts"]
    posted = slack.workspace.message(GENERAL, messages.post(GENERAL, "A &amp; B", {"key": KEY, "score": 0.5}, root))
    assert (posted["thread_ts"], posted["text"]) == (root, "A &amp; B")
    assert posted["metadata"] == {"event_type": EVENT_TYPE, "event_payload": {"key": KEY, "score": 0.5}}
    (call,) = slack.calls_of("chat.postMessage")
    assert (call.arguments["unfurl_links"], call.arguments["unfurl_media"]) == (False, False)


# What goes wrong.


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        (MessageGoneError, "message_not_found thread_not_found cannot_reply_to_message"),
        (NotPermittedError, "not_in_channel channel_not_found missing_scope"),
        (ChannelRestrictedError, "is_archived restricted_action restricted_action_read_only_channel"),
        (ChannelRestrictedError, "restricted_action_thread_locked team_access_not_granted"),
        (CredentialsRefusedError, "invalid_auth token_revoked token_expired account_inactive"),
        (SlackUnavailableError, "fatal_error internal_error"),
        (RateLimitedError, "ratelimited"),
        (SlackError, "an_unknown_code"),
    ],
)
def test_each_error_code_of_slack_raises_its_kind_of_error(
    kind: type[SlackError], codes: str, slack: SlackServer, messages: SlackMessages
) -> None:
    for code in codes.split():
        error = failed_fetch(slack, messages, ErrorBody(code))
        assert type(error) is kind, code
        assert (error.method, error.code) == ("conversations.history", code)


@pytest.mark.failure(30)
@pytest.mark.parametrize(
    ("seconds", "headers"),
    [(1, ["1", "0"]), (30, ["30", "-5", "soon", ""]), (900, ["900", "86400", "9" * 400])],
)
def test_retry_after_is_read_in_seconds_within_bounds(
    seconds: int, headers: list[str], slack: SlackServer, messages: SlackMessages
) -> None:
    for header in headers:
        error = failed_fetch(slack, messages, RateLimited(header))
        assert isinstance(error, RateLimitedError)
        assert error.retry_after == seconds, header


@pytest.mark.failure(31)
def test_retry_after_may_be_an_http_date(slack: SlackServer, messages: SlackMessages) -> None:
    slack.faults.add("chat.postMessage", RateLimited(formatdate(time.time() + 120, usegmt=True)))
    with pytest.raises(RateLimitedError) as failure:
        messages.post(GENERAL, "The verdict.", {"key": KEY})
    assert failure.value.retry_after == pytest.approx(120, abs=5)


def test_an_html_page_counts_as_unavailable_and_is_not_quoted(slack: SlackServer, messages: SlackMessages) -> None:
    errors = [failed_fetch(slack, messages, HtmlError(status)) for status in (502, 504, 404, 200)]
    assert {type(error) for error in errors} == {SlackUnavailableError}
    assert [str(error).removeprefix("conversations.history: http_") for error in errors] == ["502", "504", "404", "200"]


@pytest.mark.parametrize("body", [b"", b"[1]", b'"text"', b"null", b'{"ok": false}', b'{"ok"', b"\xff\xfe"])
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=no-such-charset"])
def test_a_malformed_answer_counts_as_unavailable(
    body: bytes, kind: str, slack: SlackServer, messages: SlackMessages
) -> None:
    for status in (200, 503):
        answer = Answer(Reply(status, body, {"Content-Type": kind}))
        assert isinstance(failed_fetch(slack, messages, answer), SlackUnavailableError)


def test_a_refused_connection_counts_as_unavailable() -> None:
    with pytest.raises(SlackUnavailableError):
        SlackMessages("http://127.0.0.1:9/api/", lambda: "xoxb-1").fetch(GENERAL, "1731000000.000100")


def test_neither_errors_nor_the_log_show_texts_or_tokens(
    slack: SlackServer, messages: SlackMessages, caplog: pytest.LogCaptureFixture
) -> None:
    token = slack.workspace.token
    slack.faults.add("chat.postMessage", ErrorBody("canary <html>"))
    slack.faults.add("chat.postMessage", Reset())
    slack.faults.add("chat.postMessage", RateLimited())
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            with pytest.raises(SlackError) as failure:
                messages.post(GENERAL, "canary", {"key": KEY})
            shown = f"{failure.value!r} {failure.value.__cause__!r}"
            assert failure.value.__suppress_context__, "a traceback would show the cause"
            assert "canary" not in shown
            assert token not in shown
        assert "canary" not in repr(messages.fetch(GENERAL, write(slack, "canary")["ts"]))
    assert "canary" not in caplog.text
    assert token not in caplog.text
