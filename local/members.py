"""The members of a workspace: the app itself, people, bots of other apps, webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
    """A person; with `bot_id` another app's bot; with `bot_id` but no `app_id` a webhook, which has no user."""

    id: str
    name: str
    bot_id: str | None = None
    app_id: str | None = None
    team_id: str | None = None  # of a person from another workspace, in a shared channel

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
