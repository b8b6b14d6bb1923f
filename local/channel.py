"""A conversation in a workspace: members, messages, threads, tombstones, and permission to post.

Not thread-safe: the workspace holds the lock.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal

Message = dict[str, Any]
Kind = Literal["public", "private", "im"]

# These restrictions refuse only some posts. All others refuse every post.
_TOP_LEVEL_REFUSED = "restricted_action_thread_only_channel"
_REPLIES_REFUSED = "restricted_action_non_threadable_channel"
_CANNOT_BE_THREADED = ("channel_join", "channel_leave")


class RefusedError(Exception):
    """Raised if Slack would refuse a call. `code` is Slack's error, `details` are the other fields of its answer."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


@dataclass
class Channel:
    id: str
    name: str
    kind: Kind
    members: set[str]
    archived: bool = False
    restricted: str = ""  # the error for posts, such as restricted_action_read_only_channel
    messages: dict[str, Message] = field(default_factory=dict)  # by ts, oldest first

    def find(self, ts: str) -> Message:
        if ts not in self.messages:
            raise RefusedError("message_not_found")
        return self.messages[ts]

    def replies(self, ts: str) -> list[Message]:
        return [message for message in self.messages.values() if message.get("thread_ts") == ts]

    def thread(self, ts: str) -> list[Message]:
        """Return a message and its replies as Slack returns them, oldest first."""
        root = self.find(ts)
        if root.get("subtype") in _CANNOT_BE_THREADED:
            raise RefusedError("thread_not_found")
        return [self.view(message) for message in (root, *self.replies(ts))]

    def view(self, message: Message) -> Message:
        """Return a copy with the fields that depend on other messages, such as the reply count."""
        view = copy.deepcopy(message)
        replies = self.replies(message["ts"])
        if message.get("thread_ts") in self.messages:
            view["parent_user_id"] = self.messages[message["thread_ts"]].get("user", "")
        if replies:
            users = list(dict.fromkeys(reply.get("user") or reply["bot_id"] for reply in replies))
            view.setdefault("thread_ts", message["ts"])
            view |= {"reply_count": len(replies), "reply_users_count": len(users), "reply_users": users}
            view |= {"latest_reply": replies[-1]["ts"], "is_locked": message.get("is_locked", False)}
            view["subscribed"] = False
        return view

    def delete(self, ts: str) -> None:
        """Remove a message. A root with replies becomes a tombstone until the last reply is removed."""
        message = self.find(ts)
        if self.replies(ts):
            stone = {"type": "message", "subtype": "tombstone", "hidden": True, "ts": ts}
            self.messages[ts] = stone | {"text": "This message was deleted.", "user": "USLACKBOT"}
            return
        del self.messages[ts]
        root = self.messages.get(message.get("thread_ts", ""), {})
        if root.get("subtype") == "tombstone" and not self.replies(root["ts"]):
            del self.messages[root["ts"]]

    def posting_refusal(self, user: str, thread_ts: str | None) -> str | None:
        """Return Slack's error for a post by `user`, or None. A deleted root message is not an error."""
        root = self.messages.get(thread_ts or "", {})
        if self.archived:
            return "is_archived"
        if user not in self.members:
            return "not_in_channel"
        if root.get("is_locked"):
            return "restricted_action_thread_locked"
        if root.get("subtype") in _CANNOT_BE_THREADED:
            return "cannot_reply_to_message"
        allowed = {_TOP_LEVEL_REFUSED: bool(root), _REPLIES_REFUSED: not root}.get(self.restricted, False)
        return None if allowed else self.restricted or None
