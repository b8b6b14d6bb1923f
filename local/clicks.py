"""What Slack sends when a person clicks on a button of one of the app's messages, or sends or closes its modal.

https://docs.slack.dev/reference/interaction-payloads: the payloads of the types block_actions and view_submission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.channel import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.views import OpenView
    from local.workspace import Message, Workspace

Payload = dict[str, Any]


def click(
    workspace: Workspace,
    message: Message,
    channel: str,
    user: str,
    action_id: str,
    *,
    value: str = "",
    response_url: str = "",
) -> Payload:
    """Return the payload of a click on the button with this id; of two with one id, the one with `value`.

    Raises RefusedError if the message has no such button, or if the person is not in the channel.
    """
    if user not in workspace.channel(channel).members:
        raise RefusedError("user_not_in_channel")
    found = [
        one for one in _buttons(message) if one[1]["action_id"] == action_id and value in ("", one[2].get("value"))
    ]
    if not found:
        raise RefusedError("no_such_button")
    block, element, button = found[0]
    action = {
        "type": element["type"],
        "action_id": action_id,
        "block_id": block["block_id"],
        "text": button["text"],
        "value": button.get("value", ""),
        "action_ts": workspace.new_ts(),
    }
    ephemeral = message["ts"] not in workspace.channel(channel).messages
    shown = {"message_ts": message["ts"], "channel_id": channel, "is_ephemeral": ephemeral}
    about: Payload = {"channel": {"id": channel, "name": workspace.channel(channel).name}}
    # Of an ephemeral message Slack sends no more than where it is.
    about |= {} if ephemeral else {"message": message}
    return (
        _envelope(workspace, "block_actions", user)
        | {"trigger_id": workspace.views.trigger(user), "container": {"type": "message", **shown}}
        | about
        | {"state": {"values": {}}, "response_url": response_url, "actions": [action]}
    )


def submission(workspace: Workspace, view_id: str, values: Mapping[str, str]) -> Payload:
    """Return the payload of a modal that a person sends, with what they typed by action id; the modal is then gone."""
    shown = workspace.views.submit(view_id, values)
    trigger = {"trigger_id": workspace.views.trigger(shown.user)}
    return _envelope(workspace, "view_submission", shown.user) | trigger | {"view": shown.view, "response_urls": []}


def closing(workspace: Workspace, shown: OpenView) -> Payload:
    """Return what Slack sends of a modal that was closed, to an app that asked for it with `notify_on_close`."""
    return _envelope(workspace, "view_closed", shown.user) | {"view": shown.view, "is_cleared": False}


def _buttons(message: Message) -> Iterator[tuple[Payload, Payload, Payload]]:
    """Yield each button with its block and its element."""
    for block in message.get("blocks") or ():
        for element in block.get("elements") or () if block["type"] in ("actions", "context_actions") else ():
            if element["type"] == "feedback_buttons":
                yield block, element, element["positive_button"]
                yield block, element, element["negative_button"]
            else:
                yield block, element, element


def _envelope(workspace: Workspace, kind: str, user: str) -> Payload:
    me, person = workspace.identity, workspace.user(user)
    return {
        "type": kind,
        "user": {"id": user, "username": person.name, "name": person.name, "team_id": person.team_id or me.team_id},
        "api_app_id": me.app_id,
        "token": me.verification_token,
        "team": {"id": me.team_id, "domain": me.team_name},
        "enterprise": {"id": me.enterprise_id} if me.enterprise_id else None,
        "is_enterprise_install": False,
    }
