import json
import re
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from local.faults import ErrorBody, Fault, HtmlError, RateLimited, Reply, Reset
from local.slack_server import SlackServer
from local.workspace import Message as Raw
from tests import CLOSED
from toxicity_bot import slack_messages
from toxicity_bot.errors import (
    ChannelRestrictedError,
    CredentialsRefusedError,
    MessageGoneError,
    NotPermittedError,
    RateLimitedError,
    SlackError,
    SlackUnavailableError,
    WrongCallError,
)
from toxicity_bot.slack_messages import EVENT_TYPE, SlackMessages

GENERAL = "C0GENERAL"
KEY = "T0LOCAL/C0GENERAL/1731000000.000100/"

FailedFetch = Callable[[Fault], SlackError]


@pytest.fixture
def messages(slack: SlackServer) -> SlackMessages:
    return SlackMessages(slack.url, lambda: slack.workspace.token)


def write(slack: SlackServer, text: str = "Good morning.", user: str = "U0ADA", **more: Any) -> Raw:
    return slack.workspace.post(GENERAL, user, text, **more)


@pytest.fixture
def failed_fetch(slack: SlackServer, messages: SlackMessages) -> FailedFetch:
    """Return a function that returns the error of a fetch with a given fault."""

    def error(fault: Fault) -> SlackError:
        slack.faults.add("conversations.history", fault)
        with pytest.raises(SlackError) as failure:
            messages.fetch(GENERAL, "1731000000.000100")
        return failure.value

    return error


def answer(message: str) -> Fault:
    """Slack's response with a message given as JSON."""
    body = f'{{"ok": true, "messages": [{message}]}}'.encode()
    return Fault(Reply(200, body, {"Content-Type": "application/json"}))


@pytest.mark.failure(65)
def test_a_message_is_fetched_however_deeply_it_is_nested(slack: SlackServer, messages: SlackMessages) -> None:
    for levels in (2000, 100_000):
        blocks = '{"elements": [' * levels + "]}" * levels
        slack.faults.add("conversations.history", answer(f'{{"ts": "1.2", "text": "x", "blocks": [{blocks}]}}'))
    limit = sys.getrecursionlimit()
    assert messages.fetch(GENERAL, "1.2").raw["text"] == "x"
    with pytest.raises(SlackError, match="answer_nested_too_deep"):
        messages.fetch(GENERAL, "1.2")
    assert sys.getrecursionlimit() == limit


def test_fields_of_unexpected_types_count_as_missing(slack: SlackServer, messages: SlackMessages) -> None:
    odd = '{"ts": "1.2", "edited": "now", "metadata": "none", "thread_ts": [], "bot_id": 7, "reply_users": "U1"}'
    slack.faults.add("conversations.history", answer(f'7, null, "x", {odd}'), times=2)
    found = messages.fetch(GENERAL, "1.2")
    assert (found.thread_ts, found.bot_id, messages.has_replied(found)) == ("1.2", "", False)
    assert messages.find_post(GENERAL, None, KEY, "0") is None
    for answered in ({"messages": "none"}, {"messages": {}, "response_metadata": "x"}, {"message": "x"}):
        reply = Fault(Reply.of({"ok": True, "ts": "1.3"} | answered))
        for method in ("conversations.history", "reactions.get", "chat.postMessage"):
            slack.faults.add(method, reply)
        assert messages.find_post(GENERAL, None, KEY, "0") is None
        assert messages.has_reaction(found, ["tada"]) is False
        assert messages.post(GENERAL, "Hello.", {}) == "1.3"


def test_an_adjacent_message_or_a_tombstone_is_not_the_message(slack: SlackServer, messages: SlackMessages) -> None:
    parent = write(slack)
    for method in ("conversations.history", "conversations.replies"):
        slack.faults.add(method, Fault(Reply.of({"ok": True, "messages": [parent]})))
    with pytest.raises(MessageGoneError):
        messages.fetch(GENERAL, "1731000000.000100")
    assert slack.faults.left() == 0
    write(slack, thread_ts=parent["ts"])
    slack.workspace.delete(GENERAL, parent["ts"])
    assert slack.workspace.message(GENERAL, parent["ts"])["subtype"] == "tombstone"
    with pytest.raises(MessageGoneError):
        messages.fetch(GENERAL, parent["ts"])


def test_a_reaction_counts_under_each_name_until_removed(slack: SlackServer, messages: SlackMessages) -> None:
    message = messages.fetch(GENERAL, write(slack)["ts"])
    assert not messages.has_reaction(message, ["thumbsup"])
    slack.workspace.react(GENERAL, message.ts, "U0GRACE", "+1::skin-tone-2")
    assert messages.has_reaction(message, ["tada", "thumbsup"])
    assert not messages.has_reaction(message, ["tada"])
    slack.workspace.unreact(GENERAL, message.ts, "U0GRACE", "+1::skin-tone-2")
    assert not messages.has_reaction(message, ["thumbsup"])


@pytest.mark.parametrize("replies", [0, 1, 5, 6, 7, 23])
def test_a_verdict_is_found_by_its_key_at_the_end_of_a_thread(
    replies: int, slack: SlackServer, messages: SlackMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_messages, "PAGE_SIZE", 3)
    root = write(slack)["ts"]
    for number in range(replies):
        write(slack, f"Reply {number}.", thread_ts=root)
    messages.post(GENERAL, "Another's.", {"key": "another"}, root)
    posted = messages.post(GENERAL, "The verdict.", {"key": KEY}, root)
    found = messages.find_post(GENERAL, root, KEY, since=root)
    assert found is not None
    assert (found.ts, found.payload()["key"]) == (posted, KEY)
    assert messages.find_post(GENERAL, root, "a third", since=root) is None


def test_metadata_of_another_author_or_type_is_not_a_verdict(slack: SlackServer, messages: SlackMessages) -> None:
    root = write(slack)["ts"]
    for user, event_type, payload in (
        ("U0DEPLOYBOT", EVENT_TYPE, {"key": KEY}),
        ("U0ADA", EVENT_TYPE, {"key": KEY}),
        ("U0TOXICITY", "task_created", {"key": KEY}),
        ("U0TOXICITY", EVENT_TYPE, {}),
    ):
        write(slack, user=user, thread_ts=root, metadata={"event_type": event_type, "event_payload": payload})
    assert messages.find_post(GENERAL, root, KEY, since=root) is None
    assert len(slack.calls_of("auth.test")) == 1, "the bot's identity is cached"


def test_a_post_has_its_thread_and_metadata_and_no_previews(slack: SlackServer, messages: SlackMessages) -> None:
    root = write(slack)["ts"]
    posted = slack.workspace.message(GENERAL, messages.post(GENERAL, "A &amp; B", {"key": KEY, "score": 0.5}, root))
    assert (posted["thread_ts"], posted["text"]) == (root, "A &amp; B")
    assert posted["metadata"] == {"event_type": EVENT_TYPE, "event_payload": {"key": KEY, "score": 0.5}}
    (call,) = slack.calls_of("chat.postMessage")
    assert (call.arguments["unfurl_links"], call.arguments["unfurl_media"]) == (False, False)


@pytest.mark.failure(80)
def test_every_error_that_slack_documents_for_the_methods_called_is_known(failed_fetch: FailedFetch) -> None:
    documented = json.loads(Path(__file__).with_name("slack_errors.json").read_text())
    source = Path(slack_messages.__file__).read_text()
    called = {*re.findall(r'"((?:auth|chat|conversations|reactions)\.(?!post")\w+)"', source)}
    assert called == documented.keys() - {"read", "from", "every method"}
    codes = {code for name, codes in documented.items() if name not in ("read", "from") for code in codes}
    assert [code for code in sorted(codes) if type(failed_fetch(ErrorBody(code))) is SlackError] == []


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        (MessageGoneError, "message_not_found thread_not_found cannot_reply_to_message"),
        (NotPermittedError, "not_in_channel channel_not_found missing_scope"),
        (ChannelRestrictedError, "is_archived restricted_action restricted_action_read_only_channel"),
        (ChannelRestrictedError, "restricted_action_thread_locked team_access_not_granted ekm_access_denied"),
        (ChannelRestrictedError, "enterprise_is_restricted team_not_found message_limit_exceeded"),
        (WrongCallError, "invalid_arguments msg_too_long"),
        (CredentialsRefusedError, "invalid_auth token_revoked token_expired account_inactive"),
        (SlackUnavailableError, "fatal_error internal_error"),
        (RateLimitedError, "ratelimited"),
        (SlackError, "an_unknown_code"),
    ],
)
def test_an_error_code_of_slack_raises_its_kind(kind: type[SlackError], codes: str, failed_fetch: FailedFetch) -> None:
    for code in codes.split():
        error = failed_fetch(ErrorBody(code))
        assert type(error) is kind, code
        assert (error.method, error.code) == ("conversations.history", code)


@pytest.mark.failure(30, 31)
def test_retry_after_is_seconds_within_bounds_or_an_http_date(failed_fetch: FailedFetch) -> None:
    expected = {
        **dict.fromkeys(["1", "0"], 1),
        **dict.fromkeys(["30", "-5", "soon", ""], 30),
        **dict.fromkeys(["900", "86400", "9" * 400], 900),
        formatdate(time.time() + 120, usegmt=True): pytest.approx(120, abs=5),
    }
    errors = {header: failed_fetch(RateLimited(header)) for header in expected}
    read = {header: error.retry_after for header, error in errors.items() if isinstance(error, RateLimitedError)}
    assert read == expected


@pytest.mark.parametrize("body", [b"", b"[1]", b'"text"', b"null", b'{"ok": false}', b'{"ok"', b"\xff\xfe"])
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=no-such-charset"])
def test_a_malformed_answer_counts_as_unavailable(body: bytes, kind: str, failed_fetch: FailedFetch) -> None:
    for status in (200, 503):
        answer = Fault(Reply(status, body, {"Content-Type": kind}))
        assert isinstance(failed_fetch(answer), SlackUnavailableError)


@pytest.mark.parametrize("fault", [ErrorBody("canary <html>"), Reset(), RateLimited()])
def test_no_error_shows_a_text_or_a_token(slack: SlackServer, messages: SlackMessages, fault: Fault) -> None:
    slack.faults.add("chat.postMessage", fault)
    with pytest.raises(SlackError) as failure:
        messages.post(GENERAL, "canary", {"key": KEY})
    shown = f"{failure.value!r} {failure.value.__cause__!r}"
    assert failure.value.__suppress_context__, "a traceback would show the cause's text"
    assert [secret for secret in ("canary", slack.workspace.token) if secret in shown] == []
    assert "canary" not in repr(messages.fetch(GENERAL, write(slack, "canary")["ts"]))


def test_an_html_page_and_a_refused_connection_count_as_unavailable(failed_fetch: FailedFetch) -> None:
    for status in (502, 504, 404, 200):
        error = failed_fetch(HtmlError(status))
        assert (type(error), str(error)) == (SlackUnavailableError, f"conversations.history: http_{status}")
    with pytest.raises(SlackUnavailableError):
        SlackMessages(f"{CLOSED}/api/", lambda: "xoxb-1").fetch(GENERAL, "1731000000.000100")
