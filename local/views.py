"""The app's modals in a workspace: triggers, open modals and their submissions.

A trigger can be used once, within three seconds: https://docs.slack.dev/surfaces/modals
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slack_sdk.models.views import View

from local import block_kit
from local.channel import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TRIGGER_SECONDS = 3.0
MAX_BLOCKS = 100


@dataclass
class _Trigger:
    user: str
    created: float
    exchanged: bool = False


@dataclass(frozen=True)
class OpenView:
    """An open modal, as Slack describes it, and the person who sees it."""

    user: str
    view: dict[str, Any]


class Views:
    """`clock` returns seconds since 1970. `app_fields` are the fields of every view that identify the app."""

    def __init__(self, app_fields: Mapping[str, Any], clock: Callable[[], float]) -> None:
        self.open: dict[str, OpenView] = {}
        """The open modals by id."""
        self._app_fields = dict(app_fields)
        self._clock = clock
        self._triggers: dict[str, _Trigger] = {}
        self._numbers = itertools.count(1)

    def trigger(self, user: str) -> str:
        """Return a trigger for an action of a person now."""
        number = next(self._numbers)
        made = f"{number}.{int(self._clock())}.{number:032x}"
        self._triggers[made] = _Trigger(user, self._clock())
        return made

    def show(self, trigger_id: Any, view: Any) -> dict[str, Any]:
        """Open a modal. Checks the view, then the trigger, as Slack does. Raises RefusedError."""
        if found := view_errors(view):
            messages = [f"[ERROR] {error}" for error in found]
            raise RefusedError("invalid_arguments", response_metadata={"messages": messages})
        trigger = self._triggers.get(str(trigger_id))
        if trigger is None:
            raise RefusedError("invalid_trigger_id")
        if self._clock() - trigger.created > TRIGGER_SECONDS:
            raise RefusedError("expired_trigger_id")
        if trigger.exchanged:
            raise RefusedError("exchanged_trigger_id")
        trigger.exchanged = True
        number = next(self._numbers)
        blocks = [{"block_id": f"b{number}-{place}", **block} for place, block in enumerate(view["blocks"])]
        made_id = f"V0LOCAL{number}"
        ids = {"id": made_id, "root_view_id": made_id, "hash": f"{self._clock():.0f}.{number:08x}"}
        defaults = {"private_metadata": "", "callback_id": "", "external_id": "", "state": {"values": {}}}
        made = defaults | copy.deepcopy(view) | self._app_fields | ids | {"blocks": blocks}
        self.open[made_id] = OpenView(trigger.user, made)
        return copy.deepcopy(made)

    def close(self, view_id: str) -> OpenView:
        """Close a modal. Raises RefusedError if it is not open."""
        if view_id not in self.open:
            raise RefusedError("not_found")
        return self.open.pop(view_id)

    def submit(self, view_id: str, values: Mapping[str, str]) -> OpenView:
        """Submit the typed texts by action id, and close the modal. Raises RefusedError if an input is invalid."""
        if view_id not in self.open:
            raise RefusedError("not_found")
        inputs = [block for block in self.open[view_id].view["blocks"] if block["type"] == "input"]
        unknown = values.keys() - {block["element"]["action_id"] for block in inputs}
        if unknown or not self.open[view_id].view.get("submit"):
            raise RefusedError("invalid_arguments")
        state: dict[str, dict[str, Any]] = {}
        for block in inputs:
            element = block["element"]
            value = values.get(element["action_id"]) or None
            if not (value or block.get("optional")) or len(value or "") > element.get("max_length", 3000):
                raise RefusedError("invalid_arguments")
            state[block["block_id"]] = {element["action_id"]: {"type": element["type"], "value": value}}
        shown = self.close(view_id)
        return OpenView(shown.user, shown.view | {"state": {"values": state}})


def view_errors(view: Any) -> list[str]:
    """Return Slack's error messages for a modal, each with a JSON pointer."""
    if not isinstance(view, dict):
        return ["must be an object [json-pointer:/view]"]
    missing = [name for name in ("type", "title", "blocks") if name not in view]
    if missing:
        return [f"missing required field: {name} [json-pointer:/view]" for name in missing]
    if view["type"] != "modal":
        return ["must be modal [json-pointer:/view/type]"]
    found = block_kit.block_errors(view["blocks"], MAX_BLOCKS, "/view/blocks")
    found += block_kit.model_errors(View, view, "/view")
    if not found and any(block["type"] == "input" for block in view["blocks"]) and "submit" not in view:
        found.append("missing required field: submit [json-pointer:/view]")
    return found
