"""The state of a workspace: what people and apps write, edit, delete and react to."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from local.workspace import RefusedError, Workspace
from tests.local.conftest import ADA, GENERAL, GRACE

if TYPE_CHECKING:
    from collections.abc import Callable


def restricted(code: str) -> Callable[[Workspace, str], None]:
    return lambda workspace, _root: workspace.restrict(GENERAL, f"restricted_action_{code}")


def test_ts_are_unique_with_a_stopped_clock_and_concurrent_writers(workspace: Workspace) -> None:
    def write(_: int) -> list[str]:
        return [workspace.post(GENERAL, ADA, "at once")["ts"] for _ in range(50)]

    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(write, range(4)))
    assert all(stamps == sorted(stamps) for stamps in written)
    together = sorted(ts for stamps in written for ts in stamps)
    assert together[0] == "1731000000.000000"
    assert len(set(together)) == 200
    assert all(re.fullmatch(r"\d{10}\.\d{6}", ts) for ts in together)


def test_the_author_of_a_message_is_a_person_a_bot_or_a_webhook(workspace: Workspace) -> None:
    webhook = workspace.add_user("alerts", bot_id="B0ALERTS")
    outsider = workspace.add_user("eve", team_id="T0PARTNER")
    person, bot, hook, guest = (
        workspace.post(GENERAL, author, "hello") for author in (ADA, "U0DEPLOYBOT", webhook, outsider)
    )
    assert person["user"] == ADA
    assert "bot_id" not in person
    assert (bot["user"], bot["bot_id"], bot["app_id"]) == ("U0DEPLOYBOT", "B0DEPLOY", "A0DEPLOY")
    assert bot["bot_profile"]["name"] == "deploybot"
    assert (hook["subtype"], hook["bot_id"]) == ("bot_message", "B0ALERTS")
    assert "user" not in hook
    assert (person["team"], guest["team"]) == ("T0LOCAL", "T0PARTNER")
    events = [workspace.react(GENERAL, message["ts"], GRACE, "eyes") for message in (person, bot, hook)]
    assert [event.get("item_user") for event in events] == [ADA, "U0DEPLOYBOT", None]


def test_messages_are_returned_as_copies(workspace: Workspace) -> None:
    message = workspace.post(GENERAL, ADA, "mine", blocks=[{"type": "divider"}])
    message["blocks"].clear()
    workspace.conversation(GENERAL)[0]["text"] = "yours"
    assert workspace.message(GENERAL, message["ts"])["text"] == "mine"
    assert workspace.message(GENERAL, message["ts"])["blocks"][0]["type"] == "divider"


def test_a_root_has_a_reply_count_only_if_it_has_replies(workspace: Workspace) -> None:
    root = workspace.post(GENERAL, ADA, "root")
    assert "thread_ts" not in root
    first = workspace.post(GENERAL, GRACE, "one", thread_ts=root["ts"])
    last = workspace.post(GENERAL, GRACE, "two", thread_ts=root["ts"])
    seen = workspace.message(GENERAL, root["ts"])
    assert seen["thread_ts"] == root["ts"]
    assert (seen["reply_count"], seen["latest_reply"], seen["reply_users"]) == (2, last["ts"], [GRACE])
    assert (first["thread_ts"], first["parent_user_id"]) == (root["ts"], ADA)
    assert [one["text"] for one in workspace.thread(GENERAL, root["ts"])] == ["root", "one", "two"]


def test_a_deleted_message_is_gone_and_a_deleted_root_leaves_a_tombstone(workspace: Workspace) -> None:
    alone, root = (workspace.post(GENERAL, ADA, text)["ts"] for text in ("alone", "root"))
    reply = workspace.post(GENERAL, GRACE, "reply", thread_ts=root)["ts"]
    workspace.delete(GENERAL, alone)
    workspace.delete(GENERAL, root)
    with pytest.raises(RefusedError, match="message_not_found"):
        workspace.message(GENERAL, alone)
    stone = workspace.message(GENERAL, root)
    assert (stone["subtype"], stone["user"], stone["text"]) == ("tombstone", "USLACKBOT", "This message was deleted.")
    assert stone["reply_count"] == 1
    workspace.delete(GENERAL, reply)
    assert workspace.conversation(GENERAL) == []


def test_a_reply_to_a_reply_is_not_in_the_first_thread(workspace: Workspace, root: str, reply: str) -> None:
    workspace.post(GENERAL, ADA, "astray", thread_ts=reply)
    assert [one["text"] for one in workspace.thread(GENERAL, root)] == ["root", "reply"]
    assert [one["text"] for one in workspace.thread(GENERAL, reply)] == ["reply", "astray"]


def test_an_edit_changes_text_and_blocks_and_keeps_the_ts(workspace: Workspace) -> None:
    message = workspace.post(GENERAL, ADA, "before")
    workspace.clock = lambda: 1731000060.25
    edited = workspace.edit(GENERAL, message["ts"], "after & later")
    assert (edited["ts"], edited["text"]) == (message["ts"], "after &amp; later")
    assert edited["edited"] == {"user": ADA, "ts": "1731000060.000000"}
    assert edited["blocks"][0]["elements"][0]["elements"] == [{"type": "text", "text": "after & later"}]


def test_reactions_are_counted_and_create_events(workspace: Workspace) -> None:
    ts = workspace.post(GENERAL, ADA, "hm")["ts"]
    event = workspace.react(GENERAL, ts, GRACE, "eyes")
    workspace.react(GENERAL, ts, ADA, "eyes")
    item = {"type": "message", "channel": GENERAL, "ts": ts}
    added = {"type": "reaction_added", "user": GRACE, "reaction": "eyes", "item": item, "item_user": ADA}
    assert event == added | {"event_ts": event["event_ts"]}
    assert workspace.message(GENERAL, ts)["reactions"] == [{"name": "eyes", "users": [GRACE, ADA], "count": 2}]
    with pytest.raises(RefusedError, match="already_reacted"):
        workspace.react(GENERAL, ts, GRACE, "eyes")
    removed = workspace.unreact(GENERAL, ts, GRACE, "eyes")
    assert (removed["type"], removed["item"]) == ("reaction_removed", item)
    assert workspace.message(GENERAL, ts)["reactions"] == [{"name": "eyes", "users": [ADA], "count": 1}]
    with pytest.raises(RefusedError, match="user_not_found"):
        workspace.react(GENERAL, ts, "U0NOBODY", "wave")
    assert [one["name"] for one in workspace.message(GENERAL, ts)["reactions"]] == ["eyes"]
    with pytest.raises(RefusedError, match="no_reaction"):
        workspace.unreact(GENERAL, ts, GRACE, "eyes")


@pytest.mark.parametrize(
    ("change", "top_level", "in_thread"),
    [
        (lambda workspace, _: workspace.archive(GENERAL), "is_archived", "is_archived"),
        (lambda workspace, _: workspace.kick(GENERAL), "not_in_channel", "not_in_channel"),
        (restricted("read_only_channel"), *["restricted_action_read_only_channel"] * 2),
        (restricted("thread_only_channel"), "restricted_action_thread_only_channel", None),
        (restricted("non_threadable_channel"), None, "restricted_action_non_threadable_channel"),
        (lambda workspace, root: workspace.lock_thread(GENERAL, root), None, "restricted_action_thread_locked"),
    ],
)
def test_where_the_bot_may_write(
    workspace: Workspace, change: Callable[[Workspace, str], None], top_level: str | None, in_thread: str | None
) -> None:
    root = workspace.post(GENERAL, ADA, "root")["ts"]
    bot = workspace.identity.bot_user_id
    assert workspace.posting_refusal(GENERAL, bot, None) is None
    change(workspace, root)
    assert workspace.posting_refusal(GENERAL, bot, None) == top_level
    assert workspace.posting_refusal(GENERAL, bot, root) == in_thread


def test_nobody_can_reply_to_a_join_notice(workspace: Workspace) -> None:
    notice = workspace.post(GENERAL, ADA, "<@U0ADA> has joined", subtype="channel_join")
    assert workspace.posting_refusal(GENERAL, ADA, notice["ts"]) == "cannot_reply_to_message"


def test_a_name_cannot_be_added_twice(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="user U0ADA exists already"):
        workspace.add_user("Ada")
    with pytest.raises(ValueError, match="channel C0GENERAL exists already"):
        workspace.add_channel("general")
