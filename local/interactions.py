"""What Slack sends for shortcuts and slash commands: https://docs.slack.dev/reference/interaction-payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.block_kit import escaped
from local.workspace import RefusedError

if TYPE_CHECKING:
    from local.response_urls import ResponseUrls
    from local.workspace import Identity, Workspace


def message_action(
    workspace: Workspace, responses: ResponseUrls, callback_id: str, channel: str, ts: str, user: str
) -> dict[str, Any]:
    """Return the payload of a message shortcut; the person must be in the channel, the app need not."""
    place, person, me = workspace.channel(channel), workspace.user(user), _app(workspace)
    return {
        "type": "message_action",
        "token": me.verification_token,
        "action_ts": f"{workspace.clock():.6f}",
        "team": {"id": me.team_id, "domain": me.team_name},
        "user": {
            "id": person.id,
            "username": person.name,
            "team_id": person.team_id or me.team_id,
            "name": person.name,
        },
        "channel": {"id": channel, "name": "directmessage" if place.kind == "im" else place.name},
        "is_enterprise_install": False,
        "enterprise": {"id": me.enterprise_id, "name": me.team_name} if me.enterprise_id else None,
        "callback_id": callback_id,
        "trigger_id": workspace.views.trigger(user),
        "response_url": responses.new(channel, user),
        "message_ts": ts,
        "message": workspace.message(channel, ts),
    }


def slash_command(
    workspace: Workspace, responses: ResponseUrls, command: str, text: str, channel: str, user: str
) -> dict[str, Any]:
    """Return the fields of a slash command, each a string, and the type that the receiver gives them."""
    place, me = workspace.channel(channel), _app(workspace)
    grid = {"enterprise_id": me.enterprise_id, "enterprise_name": me.team_name} if me.enterprise_id else {}
    return grid | {
        "type": "slash_command",
        "token": me.verification_token,
        "team_id": me.team_id,
        "team_domain": me.team_name,
        "channel_id": channel,
        "channel_name": "directmessage" if place.kind == "im" else place.name,
        "user_id": user,
        "user_name": workspace.user(user).name,
        "command": command,
        "text": escaped(text),
        "api_app_id": me.app_id,
        "is_enterprise_install": "false",
        "response_url": responses.new(channel, user),
        "trigger_id": workspace.views.trigger(user),
    }


def _app(workspace: Workspace) -> Identity:
    """Return the app, which has shortcuts and commands only with the scope `commands`."""
    if "commands" not in workspace.scopes:
        raise RefusedError("missing_scope", needed="commands")
    return workspace.identity
