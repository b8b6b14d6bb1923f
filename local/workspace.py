"""The state of one Slack workspace: members, channels, messages, reactions, and the app's token and scopes.

Thread-safe and without I/O. Methods return copies of messages, and raise `RefusedError` with Slack's error code if
Slack would refuse the action. There is one app. User groups and files are not supported.
"""

from __future__ import annotations

import copy
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.block_kit import rich_text, stored
from local.channel import Channel, Kind, Message, RefusedError
from local.views import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["BOT_SCOPES", "Channel", "Event", "Identity", "Message", "RefusedError", "User", "Workspace"]

Event = dict[str, Any]
BOT_SCOPES = frozenset(
    {"reactions:read", "channels:history", "groups:history", "im:history", "mpim:history", "chat:write", "commands"}
)


@dataclass(frozen=True)
class Identity:
    """The app's ids in this workspace, as in `auth.test` and in every event's envelope."""

    team_id: str = "T0LOCAL"
    team_name: str = "local"
    app_id: str = "A0TOXICITY"
    bot_id: str = "B0TOXICITY"
    bot_user_id: str = "U0TOXICITY"
    bot_name: str = "toxicity"
    enterprise_id: str | None = None
    verification_token: str = "Jhj5dZrVaK7ZwHHjRyZWjbDl"  # deprecated by Slack, still in every envelope


@dataclass(frozen=True)
class User:
    """A person, or with `bot_id` the bot of another app, or with `bot_id` but no `app_id` a webhook."""

    id: str
    name: str
    bot_id: str | None = None
    app_id: str | None = None
    team_id: str | None = None  # for people from another workspace in a shared channel

    @property
    def is_webhook(self) -> bool:
        return self.bot_id is not None and self.app_id is None

    def signature(self, team_id: str) -> dict[str, Any]:
        """Return the fields of a message that identify its author."""
        if self.is_webhook:
            return {"type": "message", "subtype": "bot_message", "bot_id": self.bot_id, "username": self.name}
        person = {"type": "message", "user": self.id, "team": self.team_id or team_id}
        if self.bot_id is None:
            return person
        profile: dict[str, Any] = {"id": self.bot_id, "app_id": self.app_id, "user_id": self.id, "name": self.name}
        profile |= {"team_id": team_id, "deleted": False}
        return person | {"bot_id": self.bot_id, "app_id": self.app_id, "bot_profile": profile}


class Workspace:
    def __init__(self, identity: Identity | None = None, clock: Callable[[], float] = time.time) -> None:
        self.identity = identity or Identity()
        self.signing_secret = "local-signing-secret"
        self.scopes = set(BOT_SCOPES)
        self.ephemerals: list[Message] = []
        self.emoji: dict[str, str] = {}
        self.clock = clock
        me = self.identity
        own = {"team_id": me.team_id, "app_id": me.app_id, "app_installed_team_id": me.team_id, "bot_id": me.bot_id}
        self.views = Views(own, lambda: self.clock())
        self._lock = threading.RLock()
        self._last_ts = 0
        self._token_number = 0
        self._refused_tokens: dict[str, str] = {}
        self._users: dict[str, User] = {}
        self._channels: dict[str, Channel] = {}
        self.add_user(self.identity.bot_name, self.identity.bot_user_id, self.identity.bot_id, self.identity.app_id)

    @classmethod
    def example(cls, clock: Callable[[], float] = time.time) -> Workspace:
        """Return a workspace with two people and another bot. The app is in #general and #private, not in #random."""
        workspace = cls(clock=clock)
        people = {workspace.add_user("ada"), workspace.add_user("grace")}
        people.add(workspace.add_user("deploybot", bot_id="B0DEPLOY", app_id="A0DEPLOY"))
        with_bot = people | {workspace.identity.bot_user_id}
        workspace.add_channel("general", members=with_bot)
        workspace.add_channel("private", "private", members=with_bot)
        workspace.add_channel("random", members=people)
        return workspace

    # Token and scopes.

    @property
    def token(self) -> str:
        return f"xoxb-local-{self._token_number}"

    def rotate_token(self, refusal: str = "invalid_auth") -> str:
        """Replace the token. From now on, the old one is refused with `refusal`."""
        with self._lock:
            self._refused_tokens[self.token] = refusal
            self._token_number += 1
            return self.token

    def refuse_token(self, refusal: str = "token_revoked") -> None:
        """Refuse the current token with token_revoked, token_expired or account_inactive."""
        self._refused_tokens[self.token] = refusal

    def token_refusal(self, token: str) -> str | None:
        """Return Slack's error for `token`, or None if it is the current one."""
        return self._refused_tokens.get(token) or (None if token == self.token else "invalid_auth")

    def grant(self, scope: str) -> None:
        self.scopes.add(scope)

    def revoke(self, scope: str) -> None:
        self.scopes.discard(scope)

    # Users and channels.

    def add_user(
        self,
        name: str,
        user_id: str | None = None,
        bot_id: str | None = None,
        app_id: str | None = None,
        team_id: str | None = None,
    ) -> str:
        """Add a user and return the id. By default it is U0 and the name, which is easy to read in a failing test."""
        user = User(user_id or _id("U", name), name, bot_id, app_id, team_id)
        if user.id in self._users:
            raise ValueError(f"user {user.id} exists already: give this one another name or id")
        self._users[user.id] = user
        return user.id

    def add_channel(self, name: str, kind: Kind = "public", members: Iterable[str] = ()) -> str:
        channel = Channel(_id("D" if kind == "im" else "C", name), name, kind, set(members))
        if channel.id in self._channels:
            raise ValueError(f"channel {channel.id} exists already: give this one another name")
        self._channels[channel.id] = channel
        return channel.id

    def user(self, user_id: str) -> User:
        if user_id not in self._users:
            raise RefusedError("user_not_found")
        return self._users[user_id]

    def channel(self, channel_id: str) -> Channel:
        if channel_id not in self._channels:
            raise RefusedError("channel_not_found")
        return self._channels[channel_id]

    @property
    def users(self) -> list[User]:
        return list(self._users.values())

    @property
    def channels(self) -> list[Channel]:
        return list(self._channels.values())

    def open_im(self, user_id: str) -> str:
        """Return the id of the app's direct conversation with a person. Open it if necessary."""
        with self._lock:
            name = self.user(user_id).name
            if _id("D", name) not in self._channels:
                self.add_channel(name, "im", {user_id, self.identity.bot_user_id})
            return _id("D", name)

    def archive(self, channel: str) -> None:
        self.channel(channel).archived = True

    def restrict(self, channel: str, code: str = "restricted_action") -> None:
        self.channel(channel).restricted = code

    def invite(self, channel: str, user: str | None = None) -> None:
        """Add `user`, by default the bot, to the channel."""
        self.channel(channel).members.add(user or self.identity.bot_user_id)

    def kick(self, channel: str, user: str | None = None) -> None:
        """Remove `user`, by default the bot, from the channel."""
        self.channel(channel).members.discard(user or self.identity.bot_user_id)

    # Messages.

    def post(
        self,
        channel: str,
        user: str,
        text: str = "",
        *,
        blocks: list[dict[str, Any]] | None = None,
        attachments: list[dict[str, Any]] | None = None,
        thread_ts: str | None = None,
        metadata: dict[str, Any] | None = None,
        subtype: str | None = None,
    ) -> Message:
        """Post a message and return it. `text` is Slack's markup; use `block_kit.escaped` for text that people type.

        Slack accepts a reply to a deleted message, but posts it at the top level of the channel, without a `thread_ts`
        (slack-go/slack#1571 on GitHub). A reply to a reply opens another thread below that reply, which the first
        thread does not show.
        """
        with self._lock:
            place, author = self.channel(channel), self.user(user)
            message = author.signature(self.identity.team_id) | {"text": stored(text), "ts": self.new_ts()}
            if subtype:
                message["subtype"] = subtype
            if blocks or (text and not author.is_webhook):
                message["blocks"] = _with_block_ids(blocks or [rich_text(message["text"])], message["ts"])
            if attachments:
                message["attachments"] = [{"id": number, **one} for number, one in enumerate(attachments, start=1)]
            if metadata:
                message["metadata"] = metadata
            if thread_ts in place.messages:
                message["thread_ts"] = thread_ts
            place.messages[message["ts"]] = copy.deepcopy(message)
            return place.view(message)

    def show(self, shown: Message) -> Message:
        """Record an ephemeral message. No method of the Web API returns these."""
        with self._lock:
            ts = self.new_ts()
            blocks = {"blocks": _with_block_ids(shown["blocks"], ts)} if shown.get("blocks") else {}
            self.ephemerals.append(shown | {"ts": ts} | blocks)
            return self.ephemerals[-1]

    def edit(self, channel: str, ts: str, text: str, *, blocks: list[dict[str, Any]] | None = None) -> Message:
        """Change a message's text. As in Slack, `edited.ts` has whole seconds."""
        with self._lock:
            place = self.channel(channel)
            message = place.find(ts)
            message["text"] = stored(text)
            message["edited"] = {"user": message.get("user", ""), "ts": f"{int(self.clock())}.000000"}
            if "blocks" in message or blocks:
                message["blocks"] = _with_block_ids(blocks or [rich_text(message["text"])], ts)
            return place.view(message)

    def delete(self, channel: str, ts: str) -> None:
        """Remove a message. A root with replies becomes a tombstone until the last reply is removed."""
        with self._lock:
            self.channel(channel).delete(ts)

    def lock_thread(self, channel: str, ts: str) -> None:
        self.channel(channel).find(ts)["is_locked"] = True

    def react(self, channel: str, ts: str, user: str, emoji: str) -> Event:
        """Add a reaction and return Slack's event for it."""
        with self._lock:
            message, user = self.channel(channel).find(ts), self.user(user).id
            reactions: list[dict[str, Any]] = message.setdefault("reactions", [])
            reaction = next((one for one in reactions if one["name"] == emoji), None)
            if reaction is None:
                reaction = {"name": emoji, "users": [], "count": 0}
                reactions.append(reaction)
            if user in reaction["users"]:
                raise RefusedError("already_reacted")
            reaction["users"].append(user)
            reaction["count"] += 1
            return self._reaction_event("reaction_added", channel, message, user, emoji)

    def unreact(self, channel: str, ts: str, user: str, emoji: str) -> Event:
        """Remove a reaction and return Slack's event for it."""
        with self._lock:
            message = self.channel(channel).find(ts)
            reactions = message.get("reactions", [])
            reaction = next((one for one in reactions if one["name"] == emoji and user in one["users"]), None)
            if reaction is None:
                raise RefusedError("no_reaction")
            reaction["users"].remove(user)
            reaction["count"] -= 1
            message["reactions"] = [one for one in reactions if one["count"]]
            return self._reaction_event("reaction_removed", channel, message, user, emoji)

    def message(self, channel: str, ts: str) -> Message:
        with self._lock:
            place = self.channel(channel)
            return place.view(place.find(ts))

    def conversation(self, channel: str) -> list[Message]:
        """Return all messages of a channel, including replies, oldest first."""
        with self._lock:
            place = self.channel(channel)
            return [place.view(message) for message in place.messages.values()]

    def thread(self, channel: str, ts: str) -> list[Message]:
        """Return a message and the replies to it, oldest first."""
        with self._lock:
            return self.channel(channel).thread(ts)

    def posting_refusal(self, channel: str, user: str, thread_ts: str | None) -> str | None:
        """Return Slack's error for a post by `user`, or None. Scopes are not checked."""
        with self._lock:
            return self.channel(channel).posting_refusal(user, thread_ts)

    def _reaction_event(self, kind: str, channel: str, message: Message, user: str, emoji: str) -> Event:
        item = {"type": "message", "channel": channel, "ts": message["ts"]}
        author = {"item_user": message["user"]} if "user" in message else {}  # a webhook's message has no user
        return {"type": kind, "user": user, "reaction": emoji, "item": item} | author | {"event_ts": self.new_ts()}

    def new_ts(self) -> str:
        """Return the current time as a ts. Each ts is unique; at the same instant, they differ by 100 microseconds."""
        with self._lock:
            self._last_ts = max(int(self.clock() * 1_000_000), self._last_ts + 100)
            return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"


def _id(prefix: str, name: str) -> str:
    return f"{prefix}0{re.sub('[^A-Z0-9]', '', name.upper())}"


def _with_block_ids(blocks: list[dict[str, Any]], ts: str) -> list[dict[str, Any]]:
    return [{"block_id": f"{ts}-{number}", **block} for number, block in enumerate(blocks)]
