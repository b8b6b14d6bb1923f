"""The local Slack's Web API, called with slack_sdk's client over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from tests.canaries import BLOCKS, Word
from tests.local.conftest import ADA, GENERAL, GRACE, PRIVATE, RANDOM, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from slack_sdk import WebClient

    from local.slack_server import SlackServer
    from local.workspace import Workspace


def texts(answer: Any) -> list[str]:
    return [message["text"] for message in answer["messages"]]


def history(client: WebClient, **bounds: Any) -> list[str]:
    return texts(client.conversations_history(channel=GENERAL, **bounds))


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


LONG = section("x" * 2001)["text"]


def raw(url: str, body: bytes | None = None, **headers: str) -> dict[str, Any]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    with urlopen(Request(url, data=body, headers=names), timeout=5) as answer:
        read: dict[str, Any] = json.load(answer)
    return read


def test_a_missing_wrong_or_revoked_token_is_refused(slack: SlackServer, client: WebClient) -> None:
    assert raw(f"{slack.url}auth.test")["error"] == "not_authed"
    client.token = "xoxb-wrong"
    assert refusal(client.auth_test)["error"] == "invalid_auth"
    old = client.token = slack.workspace.token
    slack.workspace.refuse_token("token_revoked")
    assert refusal(client.auth_test)["error"] == "token_revoked"
    client.token = slack.workspace.rotate_token("token_expired")
    answer, bot = client.auth_test(), slack.workspace.identity
    assert (answer["user_id"], answer["bot_id"], answer["team_id"]) == (bot.bot_user_id, bot.bot_id, "T0LOCAL")
    assert "chat:write" in answer.headers["X-OAuth-Scopes"]
    client.token = old
    assert refusal(client.auth_test)["error"] == "token_expired"


def test_methods_that_read_accept_forms_and_query_strings_and_tokens_are_not_recorded(slack: SlackServer) -> None:
    token, method = slack.workspace.token, f"{slack.url}conversations.history"
    form = f"token={token}&channel={GENERAL}".encode()
    assert raw(method, form, Content_Type="application/x-www-form-urlencoded")["ok"]
    assert raw(f"{method}?channel={GENERAL}&limit=1", Authorization=f"Bearer {token}")["messages"] == []
    assert token not in repr(slack.calls)


@pytest.mark.parametrize(
    ("method", "arguments", "scope"),
    [
        ("chat.postMessage", {"channel": GENERAL, "text": "hi"}, "chat:write"),
        ("conversations.history", {"channel": GENERAL}, "channels:history"),
        ("conversations.history", {"channel": PRIVATE}, "groups:history"),
    ],
)
def test_a_missing_scope_is_named(
    client: WebClient, workspace: Workspace, method: str, arguments: dict[str, Any], scope: str
) -> None:
    granted = sorted(workspace.scopes)
    workspace.revoke(scope)
    answer = refusal(client.api_call, method, params=arguments)
    assert (answer["error"], answer["needed"]) == ("missing_scope", scope)
    assert answer["provided"].split(",") == [name for name in granted if name != scope]
    workspace.scopes.clear()
    workspace.grant(scope)
    assert client.api_call(method, params=arguments)["ok"]


@pytest.mark.parametrize(
    ("method", "call", "complaint"),
    [
        ("chat.postMessage", {"params": {"channel": GENERAL, "text": "hi", "threads": "1.2"}}, "argument: threads"),
        ("conversations.replies", {"params": {"channel": GENERAL}}, "missing required field: ts"),
        ("conversations.history", {"params": {"channel": GENERAL, "inclusive": "maybe"}}, "must be a valid boolean"),
        ("conversations.history", {"json": {"channel": GENERAL}}, "missing required field: channel"),
    ],
)
def test_invalid_arguments_are_named(client: WebClient, method: str, call: dict[str, Any], complaint: str) -> None:
    """Methods that read do not accept JSON, so an argument sent as JSON is missing."""
    answer = refusal(client.api_call, method, **call)
    assert answer["error"] == "invalid_arguments"
    assert complaint in answer["response_metadata"]["messages"][0]


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("chat.postMassage", {}, "unknown_method"),
        ("conversations.history", {"channel": ""}, "channel_not_found"),
        ("conversations.history", {"channel": "C0NOWHERE"}, "channel_not_found"),
        ("conversations.history", {"channel": PRIVATE}, "channel_not_found"),
        ("conversations.history", {"channel": RANDOM}, "not_in_channel"),
        ("conversations.history", {"channel": GENERAL, "oldest": "yesterday"}, "invalid_ts_oldest"),
        ("conversations.history", {"channel": GENERAL, "latest": "now"}, "invalid_ts_latest"),
        ("conversations.history", {"channel": GENERAL, "limit": 0}, "invalid_limit"),
        ("conversations.history", {"channel": GENERAL, "limit": "many"}, "invalid_limit"),
        ("conversations.history", {"channel": GENERAL, "cursor": "x"}, "invalid_cursor"),
        ("conversations.replies", {"channel": RANDOM, "ts": "1"}, "not_in_channel"),
        ("chat.postMessage", {"channel": RANDOM, "text": "x"}, "not_in_channel"),
        ("conversations.replies", {"channel": GENERAL, "ts": ""}, "thread_not_found"),
        ("conversations.replies", {"channel": GENERAL, "ts": "1731000000.999999"}, "thread_not_found"),
        ("reactions.get", {"channel": GENERAL, "timestamp": "1731000000.999999"}, "message_not_found"),
        ("reactions.get", {"channel": GENERAL, "timestamp": "soon"}, "bad_timestamp"),
        ("reactions.get", {"channel": GENERAL}, "no_item_specified"),
        ("chat.getPermalink", {"channel": GENERAL, "message_ts": "1"}, "message_not_found"),
    ],
)
def test_an_invalid_call_gets_the_error_of_real_slack(
    client: WebClient, workspace: Workspace, method: str, arguments: dict[str, Any], error: str
) -> None:
    workspace.kick(PRIVATE)
    assert refusal(client.api_call, method, params=arguments)["error"] == error


@pytest.mark.parametrize(
    ("body", "kind", "error"),
    [
        (b"{", "application/json", "invalid_json"),
        (b"[1]", "application/json", "json_not_object"),
        (b"<a/>", "application/xml", "invalid_post_type"),
    ],
)
def test_unreadable_bodies_are_refused(slack: SlackServer, body: bytes, kind: str, error: str) -> None:
    assert raw(f"{slack.url}chat.postMessage", body, Content_Type=kind)["error"] == error


def test_history_up_to_a_reply_or_deleted_message_ends_with_an_earlier_message(
    client: WebClient, workspace: Workspace, root: str, reply: str
) -> None:
    gone = workspace.post(GENERAL, ADA, "gone")["ts"]
    workspace.delete(GENERAL, gone)
    for ts in (reply, gone):
        assert history(client, latest=ts, inclusive=True, limit=1) == ["root"]
        assert history(client, oldest=ts, latest=ts, inclusive=True, limit=1) == []
    assert history(client, oldest=root, latest=root, inclusive=True, limit=1) == ["root"]


def test_history_is_newest_first_with_exclusive_bounds_and_no_replies(client: WebClient, workspace: Workspace) -> None:
    one, two, three = (workspace.post(GENERAL, ADA, text)["ts"] for text in ("one", "two", "three"))
    workspace.post(GENERAL, GRACE, "hidden", thread_ts=two)
    workspace.post(GENERAL, GRACE, "shown", thread_ts=two, subtype="thread_broadcast")
    assert history(client) == ["shown", "three", "two", "one"]
    assert history(client, oldest=one, latest=three) == ["two"]
    assert history(client, oldest=one, latest=three, inclusive=True) == ["three", "two", "one"]


def test_history_and_replies_are_paginated(client: WebClient, workspace: Workspace) -> None:
    stamps = [workspace.post(GENERAL, ADA, str(number))["ts"] for number in range(5)]
    pages = [texts(page) for page in client.conversations_history(channel=GENERAL, limit=2)]
    assert pages == [["4", "3"], ["2", "1"], ["0"]]
    for number in range(4):
        workspace.post(GENERAL, GRACE, f"reply {number}", thread_ts=stamps[0])
    pages = [texts(page) for page in client.conversations_replies(channel=GENERAL, ts=stamps[0], limit=2)]
    assert pages == [["0", "reply 0"], ["reply 1", "reply 2"], ["reply 3"]]


def test_replies_of_a_root_and_of_a_reply(client: WebClient, workspace: Workspace, root: str) -> None:
    (alone,) = client.conversations_replies(channel=GENERAL, ts=root)["messages"]
    assert "thread_ts" not in alone
    reply = workspace.post(GENERAL, GRACE, "reply", thread_ts=root)["ts"]
    assert texts(client.conversations_replies(channel=GENERAL, ts=root)) == ["root", "reply"]
    (only,) = client.conversations_replies(channel=GENERAL, ts=reply)["messages"]
    assert (only["ts"], only["thread_ts"]) == (reply, root)
    workspace.post(GENERAL, GRACE, "later", thread_ts=root)
    assert texts(client.conversations_replies(channel=GENERAL, ts=root, oldest=reply)) == ["root", "later"]


def test_metadata_is_returned_only_on_request(client: WebClient, root: str) -> None:
    mark = {"event_type": "toxicity_verdict", "event_payload": {"key": "T/C/1"}}
    client.chat_postMessage(channel=GENERAL, text="verdict", thread_ts=root, metadata=mark)
    assert "metadata" not in client.conversations_replies(channel=GENERAL, ts=root)["messages"][1]
    told = client.conversations_replies(channel=GENERAL, ts=root, include_all_metadata=True)["messages"][1]
    assert told["metadata"] == mark


def test_reactions_get_finds_replies(client: WebClient, workspace: Workspace, root: str, reply: str) -> None:
    workspace.react(GENERAL, reply, ADA, "eyes")
    message = client.reactions_get(channel=GENERAL, timestamp=reply)["message"]
    assert message["reactions"] == [{"name": "eyes", "users": [ADA], "count": 1}]
    assert message["thread_ts"] == root


def test_permalinks(client: WebClient, workspace: Workspace, root: str) -> None:
    plain = client.chat_getPermalink(channel=GENERAL, message_ts=root)["permalink"]
    assert plain == "https://local.slack.com/archives/C0GENERAL/p1731000000000000"
    reply = workspace.post(GENERAL, GRACE, "reply", thread_ts=root)["ts"]
    threaded = client.chat_getPermalink(channel=GENERAL, message_ts=reply)["permalink"]
    assert threaded.endswith(f"?thread_ts={root}&cid=C0GENERAL")


def test_a_post_has_the_bot_as_author_and_the_content_that_was_sent(client: WebClient, workspace: Workspace) -> None:
    root, likely = workspace.post(GENERAL, ADA, "root")["ts"], section("*likely*")
    answer = client.chat_postMessage(
        channel=GENERAL, text="a < b", blocks=[likely], thread_ts=root, unfurl_links=False, unfurl_media=False
    )
    (_, posted) = workspace.thread(GENERAL, root)
    assert (answer["channel"], answer["ts"], answer["message"]["thread_ts"]) == (GENERAL, posted["ts"], root)
    assert (posted["text"], posted["blocks"][0]["text"]) == ("a &lt; b", likely["text"])
    assert posted["bot_id"] == workspace.identity.bot_id


def test_blocks_and_metadata_may_be_json_text(slack: SlackServer, workspace: Workspace) -> None:
    fields = {"channel": GENERAL, "text": "x", "blocks": '[{"type":"divider"}]'}
    fields["metadata"] = '{"event_type":"a_b","event_payload":{"n":1}}'
    body, token = json.dumps(fields).encode(), f"Bearer {workspace.token}"
    assert raw(f"{slack.url}chat.postMessage", body, Content_Type="application/json", Authorization=token)["ok"]
    (posted,) = workspace.conversation(GENERAL)
    assert posted["blocks"][0]["type"] == "divider"
    assert posted["metadata"]["event_payload"] == {"n": 1}


def test_posts_can_go_to_a_channel_name_or_a_person(client: WebClient, workspace: Workspace) -> None:
    workspace.scopes.clear()
    workspace.grant("chat:write")
    assert client.chat_postMessage(channel="#general", text="hi")["channel"] == GENERAL
    for text in ("a hint", "another"):
        assert client.chat_postMessage(channel=ADA, text=text)["channel"] == "D0ADA"
    assert [message["text"] for message in workspace.conversation("D0ADA")] == ["a hint", "another"]


@pytest.mark.parametrize(("replies", "in_channel"), [(0, "too late"), (1, "This message was deleted.")])
def test_a_post_in_the_thread_of_a_deleted_message(
    client: WebClient, workspace: Workspace, root: str, replies: int, in_channel: str
) -> None:
    """The post goes to the channel, or to the thread if it has replies, because then a tombstone stays as its root."""
    for _ in range(replies):
        workspace.post(GENERAL, GRACE, "reply", thread_ts=root)
    workspace.delete(GENERAL, root)
    answer = client.chat_postMessage(channel=GENERAL, text="too late", thread_ts=root)
    assert answer["message"].get("thread_ts") == (root if replies else None)
    assert history(client) == [in_channel]


@pytest.mark.parametrize(
    ("content", "error", "complaint"),
    [
        ({"text": "  "}, "no_text", ""),
        ({"blocks": "[{"}, "invalid_blocks_format", ""),
        ({"blocks": [section("x" * 3001)]}, "invalid_blocks", "text attribute cannot exceed 3000 characters"),
        ({"blocks": [section("")]}, "invalid_blocks", "must be more than 0 characters"),
        ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks", "no more than 50 items allowed"),
        ({"blocks": [{"type": "sction"}]}, "invalid_blocks", "unsupported type [json-pointer:/blocks/0]"),
        ({"blocks": [{"type": "section"}]}, "invalid_blocks", "text or fields attribute must be specified"),
        ({"blocks": [{"type": "card"}]}, "invalid_blocks", "At least one of hero_image, title, actions, or body"),
        ({"blocks": [{"type": "plan"}]}, "invalid_blocks", "title"),
        ({"blocks": [{"type": "carousel", "elements": 7}]}, "invalid_blocks", "failed to match"),
        ({"blocks": [{"type": "context", "elements": []}]}, "invalid_blocks", "no fewer than 1 items allowed"),
        ({"blocks": [{"type": "header", "text": section("x")["text"]}]}, "invalid_blocks", "failed to match"),
        ({"blocks": [{"type": "section", "text": "x"}]}, "invalid_blocks", "failed to match"),
        ({"blocks": [{"type": "section", "fields": [LONG]}]}, "invalid_blocks", "must be less than 2001 characters"),
        ({"blocks": [section("x" * 2500)] * 5}, "msg_blocks_too_long", ""),
        ({"text": "x", "metadata": {"event_type": "a", "event_payload": "b"}}, "invalid_metadata_format", ""),
        ({"text": "x", "metadata": {"event_type": "a.b", "event_payload": {}}}, "invalid_metadata_format", ""),
        ({"text": "x", "metadata": {"event_type": "a", "event_payload": {"k": "v" * 9000}}}, "metadata_too_large", ""),
        ({"text": "x", "markdown_text": "y"}, "markdown_text_conflict", ""),
        ({"text": "x", "thread_ts": "the first one"}, "invalid_thread_ts", ""),
    ],
)
def test_invalid_content_is_refused_and_not_posted(
    client: WebClient, workspace: Workspace, content: dict[str, Any], error: str, complaint: str
) -> None:
    answer = refusal(client.api_call, "chat.postMessage", json={"channel": GENERAL, **content})
    assert answer["error"] == error
    assert complaint in "; ".join(answer.get("response_metadata", {}).get("messages", []))
    assert workspace.conversation(GENERAL) == []


@pytest.mark.parametrize("make", BLOCKS)
def test_every_type_of_block_is_accepted(make: Callable[[Word], Any], client: WebClient, workspace: Workspace) -> None:
    block = make(Word())
    client.chat_postMessage(channel=GENERAL, text="x", blocks=[block])
    (kept,) = workspace.conversation(GENERAL)[0]["blocks"]
    assert kept == {"block_id": kept["block_id"]} | block


def test_a_text_that_is_too_long_is_truncated_or_if_ephemeral_refused(client: WebClient, workspace: Workspace) -> None:
    blocks = [section("x" * 3000), *[{"type": "divider"}] * 49]
    assert client.chat_postMessage(channel=GENERAL, text="x", blocks=blocks)["ok"]
    answer = client.chat_postMessage(channel=GENERAL, text="x" * 40_001)
    assert answer["warning"] == "message_truncated"
    assert len(workspace.message(GENERAL, answer["ts"])["text"]) == 40_000
    long = refusal(client.chat_postEphemeral, channel=GENERAL, user=ADA, text="x" * 40_001)
    assert long["error"] == "msg_too_long"


def test_an_ephemeral_message_is_for_one_person_and_not_in_the_history(client: WebClient, workspace: Workspace) -> None:
    answer = client.chat_postEphemeral(channel=GENERAL, user=ADA, text="only you")
    (seen,) = workspace.ephemerals
    assert (seen["user"], seen["text"], seen["ts"]) == (ADA, "only you", answer["message_ts"])
    assert history(client) == []
    workspace.kick(GENERAL, GRACE)
    outside = refusal(client.chat_postEphemeral, channel=GENERAL, user=GRACE, text="x")
    assert outside["error"] == "user_not_in_channel"


def test_the_app_can_delete_only_its_own_posts(client: WebClient, workspace: Workspace) -> None:
    own = client.chat_postMessage(channel=GENERAL, text="mine")["ts"]
    other = workspace.post(GENERAL, ADA, "hers")["ts"]
    client.chat_delete(channel=GENERAL, ts=own)
    assert refusal(client.chat_delete, channel=GENERAL, ts=other)["error"] == "cant_delete_message"
    assert refusal(client.chat_delete, channel=GENERAL, ts=own)["error"] == "message_not_found"
    assert [message["ts"] for message in workspace.conversation(GENERAL)] == [other]


def test_every_call_is_recorded_with_its_result(slack: SlackServer, client: WebClient) -> None:
    client.chat_postMessage(channel=GENERAL, text="x")
    refusal(client.chat_postMessage, channel="C0NOWHERE", text="x")
    good, bad = slack.calls_of("chat.postMessage")
    assert (good.arguments, good.status, good.error) == ({"channel": GENERAL, "text": "x"}, 200, None)
    assert (bad.status, bad.error) == (200, "channel_not_found")
