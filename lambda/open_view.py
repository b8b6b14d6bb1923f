"""Open a form for the person who used a shortcut: the only call to Slack that the receiver makes.

Slack accepts the call for three seconds after the click, and a worker that has to start would be too late. slack_sdk is
not used, because its import takes a tenth of a second.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_SECONDS = 2.0
# Slack's errors if the token was replaced after it was read.
OUTDATED_TOKEN = frozenset({"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"})


def open_view(api_url: str, token: str, trigger_id: str, view: Mapping[str, Any]) -> str:
    """Open a form. Return an empty string, or Slack's error code or the kind of failure."""
    request = urllib.request.Request(  # noqa: S310 - the setting is checked to be http or https
        f"{api_url}views.open",
        data=json.dumps({"trigger_id": trigger_id, "view": view}).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=utf-8"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - as above
            said = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return f"http_{error.code}"
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        return type(error).__name__
    if not isinstance(said, dict):
        return "not_an_object"
    return "" if said.get("ok") is True else str(said.get("error"))
