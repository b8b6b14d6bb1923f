"""Fetch messages, and find or post verdicts. This is the worker's only module that calls Slack's Web API.

Every failure raises a SlackError. slack_sdk's retries are off: its handler for lost connections would repeat a post
whose response was lost, and its handler for rate limits would sleep while the function is billed. Jobs wait in the
queue instead.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.client import WebClient

from .errors import (
    ChannelRestrictedError,
    CredentialsRefusedError,
    MessageGoneError,
    NotPermittedError,
    RateLimitedError,
    SlackError,
    SlackUnavailableError,
    WrongCallError,
)
from .observability import logger
from .reactions import TS, canonical, object_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    Blocks = Sequence[Mapping[str, Any]]

EVENT_TYPE = "toxicity_verdict"
CARD, SUMMARY = "toxicity_card", "toxicity_summary"  # event types of posts to the moderators
TIMEOUT_SECONDS = 10
PAGE_SIZE = 200
# Responses that are nested deeper are rejected by the JSON parser. The stack of 8 MB has room for eight times as much.
MAX_JSON_DEPTH = 5000

# Slack's error codes by what would help: time, a person, or nothing. tests/toxicity_bot/slack_errors.json has all codes
# that Slack documents for the methods called here.
_GONE = {
    "message_not_found", "thread_not_found", "cannot_reply_to_message", "cant_delete_message", "cant_update_message",
}  # fmt: skip
_NOT_PERMITTED = {"not_in_channel", "channel_not_found", "missing_scope", "no_permission", "access_denied"}
_RESTRICTED = {
    "is_archived", "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel",
    "restricted_action_non_threadable_channel", "restricted_action_thread_locked", "messages_tab_disabled",
    "cannot_dm_bot", "user_not_in_channel", "user_disabled", "user_not_found", "user_not_visible",
    "team_access_not_granted", "team_not_found", "ekm_access_denied", "enterprise_is_restricted", "accesslimited",
    "channel_is_limited_access", "message_limit_exceeded", "method_not_supported_for_channel_type",
    "slack_connect_canvas_sharing_blocked", "slack_connect_file_link_sharing_blocked",
    "slack_connect_lists_sharing_blocked", "is_inactive", "edit_window_closed",
}  # fmt: skip
_REFUSED = {
    "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "two_factor_setup_required",
    "not_allowed_token_type",
}  # fmt: skip
_TRANSIENT = {
    "fatal_error", "internal_error", "service_unavailable", "request_timeout", "team_added_to_org",
    "org_login_required", "list_record_comment_fetch_failed", "invalid_cursor", "update_failed",
    "external_channel_migrating", "streaming_state_conflict",
}  # fmt: skip
_WRONG_CALL = {
    "as_user_not_supported", "attachment_payload_limit_exceeded", "bad_timestamp", "deprecated_endpoint",
    "duplicate_channel_not_found", "duplicate_message_not_found", "file_comment_not_found", "file_not_found",
    "invalid_arg_name", "invalid_arguments", "invalid_array_arg", "invalid_attachments", "invalid_blocks",
    "invalid_blocks_format", "invalid_charset", "invalid_form_data", "invalid_metadata_filter_keys",
    "invalid_metadata_format", "invalid_metadata_schema", "invalid_post_type", "invalid_ts_latest", "invalid_ts_oldest",
    "markdown_text_conflict", "metadata_must_be_sent_from_app", "metadata_too_large", "method_deprecated",
    "missing_file_data", "missing_post_type", "msg_blocks_too_long", "msg_too_long", "no_item_specified", "no_text",
    "too_many_attachments", "too_many_contact_cards", "block_mismatch", "cant_broadcast_message",
    "no_dual_broadcast_content_update",
}  # fmt: skip


@dataclass(frozen=True)
class Message:
    """A fetched message. Its repr hides the text."""

    channel: str
    ts: str
    thread_ts: str
    """The thread that the message belongs to or would start."""
    bot_id: str
    raw: Mapping[str, Any] = field(repr=False)

    def payload(self) -> Mapping[str, Any]:
        """Return the payload that the bot posted with it, or an empty one."""
        return object_in(object_in(self.raw.get("metadata")).get("event_payload"))


class SlackMessages:
    """The messages of one workspace. `token` is called for every request, so that tokens can be rotated."""

    def __init__(self, api_url: str, token: Callable[[], str]) -> None:
        self._client = WebClient(base_url=api_url, timeout=TIMEOUT_SECONDS, retry_handlers=[])
        self._token = token
        self._identities: dict[str, dict[str, str]] = {}

    def fetch(self, channel: str, ts: str) -> Message:
        """Return the message or thread reply with exactly this ts. Raises MessageGoneError if there is none."""
        bounds = {"channel": channel, "oldest": ts, "latest": ts, "inclusive": True, "limit": 1}
        for method in ("conversations.history", "conversations.replies"):
            arguments = bounds if method.endswith("history") else {**bounds, "ts": ts}
            for raw in _objects(self._call(method, **arguments).get("messages")):
                if raw.get("ts") == ts and raw.get("subtype") != "tombstone":
                    return _message(channel, raw)
        raise MessageGoneError("conversations.replies", "message_not_found")

    def list_messages(self, channel: str, ts: str, latest: str, thread_ts: str | None = None) -> list[Message]:
        """Return the messages of a channel or thread from `ts` to `latest`, oldest first.

        It makes one call and reads one page. If there are more messages, a channel returns the newest ones and a thread
        the oldest.
        """
        method = "conversations.replies" if thread_ts else "conversations.history"
        page = self._call(
            method, channel=channel, ts=thread_ts, oldest=ts, latest=latest, inclusive=True, limit=PAGE_SIZE
        )
        raws = [raw for raw in _objects(page.get("messages")) if raw.get("subtype") != "tombstone"]
        by_ts = {key: raw for raw in raws if TS.fullmatch(key := _text(raw.get("ts")))}
        return [_message(channel, by_ts[key]) for key in sorted(by_ts, key=float) if float(key) >= float(ts)]

    def is_own(self, message: Message) -> bool:
        """Whether the bot itself wrote the message."""
        return bool(message.bot_id) and message.bot_id == self._own_ids()[0]

    def has_replied(self, message: Message) -> bool:
        """Whether the message starts a thread in which the bot has replied, according to the message's own fields."""
        users = message.raw.get("reply_users")
        return isinstance(users, list) and bool(users) and any(own in users for own in self._own_ids())

    def has_reaction(self, message: Message, emoji: Collection[str], by: str = "") -> bool:
        """Whether the message still has a reaction with any of the emoji, from this person if `by` is given."""
        answer = self._call("reactions.get", channel=message.channel, timestamp=message.ts, full=True)
        wanted = {canonical(name) for name in emoji}
        reactions = _objects(object_in(answer.get("message")).get("reactions"))
        left = [reaction for reaction in reactions if canonical(_text(reaction.get("name"))) in wanted]
        users = [reaction["users"] for reaction in left if isinstance(reaction.get("users"), list)]
        return any(by in some for some in users) if by else bool(left)

    def find_post(
        self, channel: str, thread_ts: str | None, key: str, since: str, cursor: str = "", kind: str = EVENT_TYPE
    ) -> Message | None:
        """Return the bot's own post with this key, in the thread or in the channel, from `since` on.

        The search starts at `cursor`. The `cursor` of a SlackUnavailableError says where to continue it. `kind` is the
        kind of post: EVENT_TYPE for a verdict, CARD or SUMMARY.
        """
        arguments: dict[str, Any] = {
            "channel": channel,
            "limit": PAGE_SIZE,
            "include_all_metadata": True,
            "oldest": since,
        }
        if thread_ts:
            arguments["ts"] = thread_ts
        method = "conversations.replies" if thread_ts else "conversations.history"
        while True:
            try:
                page = self._call(method, **arguments, cursor=cursor or None)
            except SlackUnavailableError as error:
                error.cursor = "" if error.code == "invalid_cursor" else cursor
                raise
            for raw in _objects(page.get("messages")):
                if self._is_own_post(raw, key.__eq__, kind):
                    return _message(channel, raw)
            cursor = _text(object_in(page.get("response_metadata")).get("next_cursor"))
            if not cursor:
                return None

    def post(
        self,
        channel: str,
        text: str,
        payload: Mapping[str, Any],
        thread_ts: str | None = None,
        blocks: Blocks | None = None,
        kind: str = EVENT_TYPE,
    ) -> str:
        """Post a verdict, CARD or SUMMARY with `payload` as its metadata, and return its ts. `blocks` replace the text.

        Raises SlackUnavailableError if the response is lost, and MessageGoneError if the thread has been deleted. In
        that case Slack posts to the channel itself, and the bot deletes that post.
        """
        answer = self._call_with_blocks(
            "chat.postMessage",
            blocks,
            channel=channel,
            text=text,
            thread_ts=thread_ts,
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": kind, "event_payload": dict(payload)},
        )
        posted = str(answer["ts"])
        message = object_in(answer.get("message")) or {"thread_ts": thread_ts}
        if thread_ts and message.get("thread_ts") != thread_ts:
            self._call("chat.delete", channel=channel, ts=posted)
            raise MessageGoneError("chat.postMessage", "thread_not_found")
        return posted

    def delete_stray_verdicts(self, channel: str, key: str) -> None:
        """Delete the bot's own posts with this key prefix on the newest page of the channel itself.

        Slack posts there if the thread was deleted. Such a post stays if the bot could not delete it at once.
        """
        page = self._call("conversations.history", channel=channel, limit=PAGE_SIZE, include_all_metadata=True)
        for raw in _objects(page.get("messages")):
            if self._is_own_post(raw, lambda marked: marked.startswith(key)):
                with contextlib.suppress(MessageGoneError):  # another attempt has deleted it
                    self._call("chat.delete", channel=channel, ts=raw["ts"])

    def update(self, message: Message, text: str, blocks: Blocks) -> None:
        """Update one of the bot's own messages. Raises MessageGoneError if it was deleted or is not the bot's."""
        self._call("chat.update", channel=message.channel, ts=message.ts, text=text, blocks=blocks)

    def post_ephemeral(
        self, channel: str, user: str, text: str, thread_ts: str | None = None, blocks: Blocks | None = None
    ) -> None:
        """Show a text to one person only. Slack does not guarantee delivery."""
        self._call_with_blocks("chat.postEphemeral", blocks, channel=channel, user=user, text=text, thread_ts=thread_ts)

    def send_direct_message(self, user: str, text: str) -> None:
        """Send a direct message to one person."""
        self._call("chat.postMessage", channel=user, text=text, unfurl_links=False, unfurl_media=False)

    def link(self, channel: str, ts: str) -> str:
        """Return the permalink of the message with this ts."""
        return str(self._call("chat.getPermalink", channel=channel, message_ts=ts)["permalink"])

    def _is_own_post(self, raw: Mapping[str, Any], wanted: Callable[[str], bool], kind: str = EVENT_TYPE) -> bool:
        """Whether a message is the bot's own, of this kind, with a wanted key. Other apps can set the same metadata."""
        key = _message("", raw).payload().get("key")
        marked = object_in(raw.get("metadata")).get("event_type") == kind and isinstance(key, str) and wanted(key)
        return marked and raw.get("bot_id") == self._own_ids()[0]

    def workspace_url(self) -> str:
        """Return the URL of the workspace, with a slash at the end."""
        return self._identity()["url"]

    def _own_ids(self) -> tuple[str, str]:
        """Return the bot's id and its user's id."""
        me = self._identity()
        return me["bot_id"], me["user_id"]

    def _identity(self) -> dict[str, str]:
        token = self._token()
        if token not in self._identities:
            answer = self._call("auth.test")
            self._identities = {token: {name: _text(answer.get(name)) for name in ("bot_id", "user_id", "url")}}
        return self._identities[token]

    def _call_with_blocks(self, method: str, blocks: Blocks | None, **arguments: Any) -> dict[str, Any]:
        """Make a call with blocks. If Slack rejects them, repeat it with only the text: the verdict matters more."""
        try:
            return self._call(method, blocks=blocks, **arguments)
        except WrongCallError as error:
            if not (blocks and error.code in ("invalid_blocks", "invalid_blocks_format")):
                raise
            logger.warning("Slack rejects the blocks: the text is posted without them", extra={"why": str(error)})
            return self._call(method, **arguments)

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        present = {name: value for name, value in arguments.items() if value is not None}
        # A JSON body for posts, a form for reads: Slack's read methods take no JSON.
        posts = method.startswith(("chat.post", "chat.update"))
        try:
            with _deep_recursion():
                answer = self._client.api_call(
                    method,
                    headers={"Authorization": f"Bearer {self._token()}"},
                    json=present if posts else None,
                    params=None if posts else present,
                )
        except SlackApiError as error:
            # Not chained: the cause holds Slack's response, which contains texts.
            raise _from_answer(method, error, str(present.get("channel", ""))) from None
        except RecursionError:
            raise SlackError(method, "answer_nested_too_deep") from None
        except (OSError, http.client.HTTPException, SlackClientError, ValueError, LookupError, AttributeError) as error:
            # slack_sdk raises the last two for an unknown charset and for JSON that is not an object.
            raise SlackUnavailableError(method, type(error).__name__) from None
        return dict(answer.data) if isinstance(answer.data, dict) else {}


@contextlib.contextmanager
def _deep_recursion() -> Iterator[None]:
    """Raise the recursion limit for the JSON parser: a message in a response may be deeply nested."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, MAX_JSON_DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _message(channel: str, raw: Mapping[str, Any]) -> Message:
    ts = _text(raw.get("ts"))
    return Message(channel, ts, _text(raw.get("thread_ts")) or ts, _text(raw.get("bot_id")), raw)


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _from_answer(method: str, error: SlackApiError, channel: str) -> SlackError:
    """Return the SlackError for an error response, by what would help: time, a person, or nothing."""
    answer = error.response
    data = answer.data if isinstance(answer.data, dict) else {}
    code = str(data.get("error", ""))
    if answer.status_code == 429 or code in ("ratelimited", "rate_limited"):
        return RateLimitedError(method, retry_after(answer.headers))
    if code in _NOT_PERMITTED:
        return NotPermittedError(method, code, channel, data.get("needed"))
    if code in _RESTRICTED:
        return ChannelRestrictedError(method, code, channel)
    for codes, kind in (
        (_GONE, MessageGoneError),
        (_REFUSED, CredentialsRefusedError),
        (_TRANSIENT, SlackUnavailableError),
        (_WRONG_CALL, WrongCallError),
    ):
        if code in codes:
            return kind(method, code)
    # Anything else that is not an error code, such as a proxy's page, counts as a network failure. slack_sdk puts the
    # page in `error`.
    if answer.status_code >= 500 or not code.replace("_", "").isalnum():
        return SlackUnavailableError(method, f"http_{answer.status_code}")
    return SlackError(method, code)


def retry_after(headers: Mapping[str, Any]) -> int:
    """Parse Retry-After, in seconds or, from proxies, as an HTTP date. The result is from 1 to 900 seconds."""
    value = str(next((value for name, value in headers.items() if name.lower() == "retry-after"), "30"))
    if value.isascii() and value.isdigit():
        seconds = float(value)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            seconds = 30
    return round(min(max(seconds, 1), 900))
