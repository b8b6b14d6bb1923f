"""Reply at the response URL of a shortcut or a command, which is valid for 30 minutes and needs no token."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackClientError
from slack_sdk.webhook.client import WebhookClient

from .errors import MessageGoneError, RateLimitedError, SlackUnavailableError, WrongCallError
from .interactions import is_response_url
from .slack_messages import retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping

METHOD = "response_url"
TIMEOUT_SECONDS = 10


def respond(detail: Mapping[str, Any], text: str, api_url: str, **fields: Any) -> None:
    """Show a text only to the person who asked, in the thread where they did. `detail` is the job's. Raises SlackError.

    MessageGoneError: the URL is no longer valid. SlackUnavailableError: `outcome_unknown` says whether the answer may
    have been shown although Slack did not confirm it.
    """
    url = detail.get("response_url", "")
    if not is_response_url(url, api_url):
        raise WrongCallError(METHOD, "not_slacks_address")
    where = {"thread_ts": detail["thread_ts"]} if "thread_ts" in detail else {}
    body = {"response_type": "ephemeral", "text": text, **where, **fields}
    try:
        answer = WebhookClient(url, timeout=TIMEOUT_SECONDS, retry_handlers=[]).send_dict(body)
    except (OSError, http.client.HTTPException, SlackClientError, ValueError) as error:
        # A URLError, whatever its cause, means that Slack did not get the answer.
        raise SlackUnavailableError(METHOD, type(error).__name__) from None
    if answer.status_code == 429:
        raise RateLimitedError(METHOD, retry_after(answer.headers))
    if 400 <= answer.status_code < 500:
        raise MessageGoneError(METHOD, f"http_{answer.status_code}")
    if answer.status_code != 200:
        raise SlackUnavailableError(METHOD, f"http_{answer.status_code}")
