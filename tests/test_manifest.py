"""slack/manifest.yaml against the limits of Slack's form, and against what the bot calls.

The limits are those of https://github.com/slackapi/manifest-schema, schemas/manifest.schema.1.0.0.json.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from doctor.slack import needed_scopes
from local.web_api import METHODS
from local.workspace import BOT_SCOPES
from tests.cloudformation import template
from toxicity_bot.settings import DEFAULTS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "slack" / "manifest.yaml").read_text(encoding="utf-8")
MANIFEST: dict[str, Any] = yaml.safe_load(TEXT)

# What Slack knows of each section that is used here: it refuses a manifest with any other name.
KNOWN = {
    "": {"_metadata", "display_information", "features", "oauth_config", "settings"},
    "display_information": {"name", "description", "long_description", "background_color"},
    "features": {"app_home", "bot_user", "shortcuts", "slash_commands", "unfurl_domains"},
    "features.app_home": {"home_tab_enabled", "messages_tab_enabled", "messages_tab_read_only_enabled"},
    "features.bot_user": {"display_name", "always_online"},
    "oauth_config": {"redirect_urls", "scopes", "token_management_enabled"},
    "oauth_config.scopes": {"bot", "user", "bot_optional", "user_optional"},
    "settings": {
        "allowed_ip_address_ranges", "event_subscriptions", "interactivity", "org_deploy_enabled",
        "socket_mode_enabled", "token_rotation_enabled",
    },
    "settings.event_subscriptions": {"request_url", "bot_events", "user_events", "metadata_subscriptions"},
    "settings.interactivity": {"is_enabled", "request_url", "message_menu_options_url"},
}  # fmt: skip
CHARACTERS = {
    "display_information.name": (1, 35),
    "display_information.description": (1, 140),
    "display_information.long_description": (175, 4000),
    "display_information.background_color": (4, 7),
    "features.bot_user.display_name": (1, 80),
    "settings.event_subscriptions.request_url": (8, 3500),
}


def at(path: str) -> Any:
    value: Any = MANIFEST
    for name in filter(None, path.split(".")):
        value = value[name]
    return value


@pytest.mark.parametrize("path", KNOWN)
def test_slack_knows_every_name(path: str) -> None:
    assert at(path).keys() - KNOWN[path] == set()


def test_no_section_is_left_unlooked_at() -> None:
    def sections(value: Any, path: str) -> set[str]:
        inner = [sections(item, f"{path}.{name}".strip(".")) for name, item in value.items() if isinstance(item, dict)]
        return {path}.union(*inner)

    assert sections(MANIFEST, "") == KNOWN.keys()


@pytest.mark.parametrize("path", CHARACTERS)
def test_texts_are_as_long_as_slack_takes_them(path: str) -> None:
    least, most = CHARACTERS[path]
    # JSON schema counts characters; Slack's form may count UTF-16, in which an emoji has more.
    length = len(at(path).encode("utf-16-le")) // 2
    assert least <= length <= most, f"{path} has {length} characters, Slack takes {least} to {most}"


def test_the_colour_and_the_address_have_the_form_that_slack_takes() -> None:
    assert re.fullmatch(r"#[0-9a-fA-F]{3}([0-9a-fA-F]{3})?", at("display_information.background_color"))
    assert re.match(r"https://", at("settings.event_subscriptions.request_url"))


def test_the_placeholder_has_the_receivers_path_and_nobodys_host() -> None:
    path = template()["Resources"]["Receiver"]["Properties"]["Events"]["SlackEvent"]["Properties"]["Path"]
    assert at("settings.event_subscriptions.request_url") == f"https://replace-me.example.com{path}"


def test_it_subscribes_to_what_the_receiver_takes() -> None:
    assert at("settings.event_subscriptions.bot_events") == ["reaction_added"]
    assert '"reaction_added"' in (ROOT / "lambda" / "reactions.py").read_text(encoding="utf-8")
    assert f":{DEFAULTS['TRIGGER_EMOJI']}:" in at("display_information.long_description")


def test_events_come_over_http_and_the_token_stays() -> None:
    switches = ("org_deploy_enabled", "socket_mode_enabled", "token_rotation_enabled")
    assert {name: at("settings")[name] for name in switches} == dict.fromkeys(switches, False)
    assert at("settings.interactivity") == {"is_enabled": False}, "the bot posts nothing to click on"


def test_people_can_be_told_that_the_bot_was_not_invited() -> None:
    assert at("features.app_home.messages_tab_enabled") is True, "Slack would answer messages_tab_disabled"


def test_its_scopes_are_those_of_the_methods_that_the_bot_calls() -> None:
    source = (ROOT / "lambda" / "slack_messages.py").read_text(encoding="utf-8")
    called = {method for method in METHODS if f'"{method}"' in source}
    assert called >= {"auth.test", "chat.postMessage", "conversations.history", "reactions.get"}
    # Of a history method's scopes each opens another kind of conversation: the bot needs them all.
    assert set(at("oauth_config.scopes.bot")) == {scope for method in called for scope in METHODS[method].scopes}
    assert set(at("oauth_config.scopes")) == {"bot"}, "the bot acts for nobody else"


def test_its_scopes_are_the_local_slacks() -> None:
    assert set(at("oauth_config.scopes.bot")) == BOT_SCOPES


def test_beside_each_scope_stands_what_it_is_for() -> None:
    assert list(needed_scopes()) == at("oauth_config.scopes.bot")
    assert all(len(use.split()) >= 5 for use in needed_scopes().values()), needed_scopes()


def test_the_steps_name_outputs_that_the_stack_has() -> None:
    steps = "".join(line for line in TEXT.splitlines(keepends=True) if line.startswith("#"))
    named = set(re.findall(r"output ([A-Z][A-Za-z]+)", steps))
    assert named == {"RequestUrl", "SecretId"}
    assert named <= template()["Outputs"].keys()
