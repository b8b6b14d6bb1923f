"""The state of one Slack workspace: people, bots, channels, messages, reactions, and what the app may do.

Thread-safe and without I/O. Whatever Slack would refuse raises `RefusedError` with Slack's own word for it; the
messages that come out are copies. It does not know tokens' holders beyond one app, nor user groups or files.
"""

from __future__ import annotations

import copy
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from local.channel import Channel, Kind, Message, RefusedError
from local.members import Identity, User
from local.rich_text import rich_text, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["BOT_SCOPES", "Channel", "Event", "Identity", "Message", "RefusedError", "User", "Workspace"]

Event = dict[str, Any]
BOT_SCOPES = frozenset(
    {"reactions:read", "channels:history", "groups:history", "im:history", "mpim:history", "chat:write"}
)


class Workspace:
    def __init__(self, identity: Identity | None = None, clock: Callable[[], float] = time.time) -> None:
        self.identity = identity or Identity()
        self.signing_secret = "local-signing-secret"
        self.scopes = set(BOT_SCOPES)
        self.ephemerals: list[Message] = []
        self._clock = clock
        self._lock = threading.RLock()
        self._last_ts = 0
        self._token_number = 0
        self._refused_tokens: dict[str, str] = {}
        self._users: dict[str, User] = {}
        self._channels: dict[str, Channel] = {}
        self.add_user(self.identity.bot_name, self.identity.bot_user_id, self.identity.bot_id, self.identity.app_id)

    @classmethod
    def example(cls, clock: Callable[[], float] = time.time) -> Workspace:
        """Two people and another app's bot; the bot is in #general and #private, and not in #random."""
        workspace = cls(clock=clock)
        people = {workspace.add_user("ada"), workspace.add_user("grace")}
        people.add(workspace.add_user("deploybot", bot_id="B0DEPLOY", app_id="A0DEPLOY"))
        with_bot = people | {workspace.identity.bot_user_id}
        workspace.add_channel("general", members=with_bot)
        workspace.add_channel("private", "private", members=with_bot)
        workspace.add_channel("random", members=people)
        return workspace

    # The app's rights.

    @property
    def token(self) -> str:
        return f"xoxb-local-{self._token_number}"

    def rotate_token(self, refusal: str = "invalid_auth") -> str:
        """Make a new token; the old one is answered with `refusal` from now on."""
        with self._lock:
            self._refused_tokens[self.token] = refusal
            self._token_number += 1
            return self.token

    def refuse_token(self, refusal: str = "token_revoked") -> None:
        """Answer the current token with `refusal`: token_revoked, token_expired, account_inactive."""
        self._refused_tokens[self.token] = refusal

    def token_refusal(self, token: str) -> str | None:
        """Slack's word for why `token` is no good, or None for the current one."""
        return self._refused_tokens.get(token) or (None if token == self.token else "invalid_auth")

    def grant(self, scope: str) -> None:
        self.scopes.add(scope)

    def revoke(self, scope: str) -> None:
        self.scopes.discard(scope)

    # People and channels.

    def add_user(
        self,
        name: str,
        user_id: str | None = None,
        bot_id: str | None = None,
        app_id: str | None = None,
        team_id: str | None = None,
    ) -> str:
        """The new user's id: U0 and the name, so that a test's failure reads well."""
        user = User(user_id or _id("U", name), name, bot_id, app_id, team_id)
        if user.id in self._users:
            raise ValueError(f"user {user.id} exists already: give this one another name or id")
        self._users[user.id] = user
        return user.id

    def add_channel(
        self, name: str, kind: Kind = "public", members: Iterable[str] = (), *, is_ext_shared: bool = False
    ) -> str:
        channel = Channel(_id("D" if kind == "im" else "C", name), name, kind, set(members), is_ext_shared)
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
        """The id of the app's direct conversation with a person, made on first use."""
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
        """Let `user`, or else the bot, into the channel."""
        self.channel(channel).members.add(user or self.identity.bot_user_id)

    def kick(self, channel: str, user: str | None = None) -> None:
        """Put `user`, or else the bot, out of the channel."""
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
        reply_broadcast: bool = False,
        metadata: dict[str, Any] | None = None,
        subtype: str | None = None,
    ) -> Message:
        """Write a message and return it; `text` is Slack's markup, see `rich_text.escaped` for what people type.

        A reply to a message that has vanished is not refused: Slack puts it at the top level of the channel,
        without a `thread_ts` (seen by slack-go/slack#1571 on GitHub). A reply to a reply opens a thread of
        its own below that reply, which readers of the first thread do not see: hence Slack's advice against it.
        """
        with self._lock:
            place, author = self.channel(channel), self.user(user)
            message = author.signature(self.identity.team_id) | {"text": stored(text), "ts": self._new_ts()}
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
                if reply_broadcast:
                    message["subtype"] = "thread_broadcast"
            place.messages[message["ts"]] = copy.deepcopy(message)
            return place.view(message)

    def show(self, shown: Message) -> Message:
        """Keep a message that one person sees once: no method of Slack's reads it again."""
        with self._lock:
            self.ephemerals.append(shown | {"ts": self._new_ts()})
            return self.ephemerals[-1]

    def edit(self, channel: str, ts: str, text: str, *, blocks: list[dict[str, Any]] | None = None) -> Message:
        """Change a message's text; like Slack's, `edited.ts` counts whole seconds only."""
        with self._lock:
            place = self.channel(channel)
            message = place.find(ts)
            message["text"] = stored(text)
            message["edited"] = {"user": message.get("user", ""), "ts": f"{int(self._clock())}.000000"}
            if "blocks" in message or blocks:
                message["blocks"] = _with_block_ids(blocks or [rich_text(message["text"])], ts)
            return place.view(message)

    def delete(self, channel: str, ts: str) -> None:
        """Remove a message; a thread's root stays as a tombstone until its last reply is gone too."""
        with self._lock:
            self.channel(channel).delete(ts)

    def lock_thread(self, channel: str, ts: str) -> None:
        self.channel(channel).find(ts)["is_locked"] = True

    def react(self, channel: str, ts: str, user: str, emoji: str) -> Event:
        """Add a reaction; returns the event that Slack would send."""
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
        """Take a reaction back; returns the event that Slack would send."""
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
        """Every message of a channel, replies included, oldest first."""
        with self._lock:
            place = self.channel(channel)
            return [place.view(message) for message in place.messages.values()]

    def thread(self, channel: str, ts: str) -> list[Message]:
        """A message and the replies to it, oldest first."""
        with self._lock:
            return self.channel(channel).thread(ts)

    def posting_refusal(self, channel: str, user: str, thread_ts: str | None) -> str | None:
        """Slack's word for why `user` may not write there, or None; scopes are not looked at."""
        with self._lock:
            return self.channel(channel).posting_refusal(user, thread_ts)

    def _reaction_event(self, kind: str, channel: str, message: Message, user: str, emoji: str) -> Event:
        item = {"type": "message", "channel": channel, "ts": message["ts"]}
        author = {"item_user": message["user"]} if "user" in message else {}  # a webhook's message has no user
        return {"type": kind, "user": user, "reaction": emoji, "item": item} | author | {"event_ts": self._new_ts()}

    def _new_ts(self) -> str:
        """Microseconds of the clock, unique in the workspace: two calls in one instant are 100 apart."""
        self._last_ts = max(int(self._clock() * 1_000_000), self._last_ts + 100)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"


def _id(prefix: str, name: str) -> str:
    return f"{prefix}0{re.sub('[^A-Z0-9]', '', name.upper())}"


def _with_block_ids(blocks: list[dict[str, Any]], ts: str) -> list[dict[str, Any]]:
    return [{"block_id": f"{ts}-{number}", **block} for number, block in enumerate(blocks)]
