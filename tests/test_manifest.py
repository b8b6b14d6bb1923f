"""slack/*.yaml: the limits of Slack's form, and the events and scopes that the bot needs.

The limits are those of https://github.com/slackapi/manifest-schema, schemas/manifest.schema.1.0.0.json.
"""

import re
from typing import Any

import pytest
import yaml

from doctor.slack import needed_scopes
from local.web_api import METHODS
from local.workspace import BOT_SCOPES
from tests import ROOT
from tests.cloudformation import template
from toxicity_bot import interactions
from toxicity_bot.settings import DEFAULTS

DEPLOYED, SOCKET_MODE = (
    (ROOT / "slack" / name).read_text(encoding="utf-8") for name in ("manifest.yaml", "socket_mode.yaml")
)
MANIFEST: dict[str, Any] = yaml.safe_load(DEPLOYED)

# The names that Slack knows in each section that is used here. Slack refuses a manifest with any other name.
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


def test_slack_knows_every_section_and_name() -> None:
    def sections(value: Any, path: str) -> dict[str, set[str]]:
        inner = [sections(item, f"{path}.{name}".strip(".")) for name, item in value.items() if isinstance(item, dict)]
        return {path: set(value)} | {path: names for found in inner for path, names in found.items()}

    used = sections(MANIFEST, "")
    assert used.keys() == KNOWN.keys()
    assert {path: names - KNOWN[path] for path, names in used.items() if names - KNOWN[path]} == {}


@pytest.mark.parametrize("path", CHARACTERS)
def test_texts_are_within_slacks_limits(path: str) -> None:
    least, most = CHARACTERS[path]
    # JSON schema counts characters. Slack's form may count UTF-16 code units, of which an emoji has more.
    length = len(at(path).encode("utf-16-le")) // 2
    assert least <= length <= most, f"{path} has {length} characters, Slack allows {least} to {most}"


def test_shortcuts_and_commands_are_within_slacks_limits_and_have_only_known_keys() -> None:
    for shortcut in at("features.shortcuts"):
        assert shortcut.keys() == {"name", "type", "callback_id", "description"}
        assert shortcut["type"] == "message"
        for name, most in (("name", 24), ("description", 150), ("callback_id", 255)):
            assert len(shortcut[name]) <= most
    for command in at("features.slash_commands"):
        assert command.keys() == {"command", "url", "description", "usage_hint", "should_escape"}
        assert re.fullmatch(r"/[a-z]{1,31}", command["command"])
        assert len(command["description"]) <= 2000
        assert len(command["usage_hint"]) <= 1000


def test_the_manifest_has_the_settings_that_the_bot_needs() -> None:
    assert re.fullmatch(r"#[0-9a-fA-F]{3}([0-9a-fA-F]{3})?", at("display_information.background_color"))
    path = template()["Resources"]["Receiver"]["Properties"]["Events"]["SlackEvent"]["Properties"]["Path"]
    subscribed = {"request_url": f"https://replace-me.example.com{path}", "bot_events": ["reaction_added"]}
    assert at("settings.event_subscriptions") == subscribed
    assert f":{DEFAULTS['TRIGGER_EMOJI']}:" in at("display_information.long_description")
    switches = ("org_deploy_enabled", "socket_mode_enabled", "token_rotation_enabled")
    assert {name: at("settings")[name] for name in switches} == dict.fromkeys(switches, False)
    address = subscribed["request_url"]
    assert at("settings.interactivity") == {"is_enabled": True, "request_url": address}
    assert {one["url"] for one in at("features.slash_commands")} == {address}
    read = {callback_id for kind, callback_id in interactions._READERS if kind == "message_action"}
    assert {one["callback_id"] for one in at("features.shortcuts")} == read
    assert at("features.app_home.messages_tab_enabled") is True, "Slack would refuse hints: messages_tab_disabled"


@pytest.mark.parametrize("text", [DEPLOYED, SOCKET_MODE], ids=["deployed", "socket mode"])
def test_events_for_watching_are_commented_out(text: str) -> None:
    assert yaml.safe_load(text)["settings"]["event_subscriptions"]["bot_events"] == ["reaction_added"]
    switched_on = yaml.safe_load(re.sub(r"^( +)# (- message\.)", r"\1\2", text, flags=re.MULTILINE))
    events = switched_on["settings"]["event_subscriptions"]["bot_events"]
    assert events == ["reaction_added", "message.channels", "message.groups"]
    assert {"channels:history", "groups:history"} <= set(switched_on["oauth_config"]["scopes"]["bot"])


def test_the_scopes_match_the_local_slacks_and_each_allows_a_method_and_has_a_purpose() -> None:
    """The local Slack enforces its scopes in the bot's tests, so these scopes are sufficient."""
    assert set(at("oauth_config.scopes.bot")) == BOT_SCOPES
    assert {"commands"} | {scope for method in METHODS.values() for scope in method.scopes} >= BOT_SCOPES
    assert set(at("oauth_config.scopes")) == {"bot"}, "the bot acts for no user"
    assert list(needed_scopes()) == at("oauth_config.scopes.bot")
    assert all(len(use.split()) >= 5 for use in needed_scopes().values()), "a comment gives the purpose of each scope"


def test_the_socket_mode_manifest_differs_from_the_deployed_one_only_where_needed() -> None:
    def without_addresses(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_addresses(item) for key, item in value.items() if key not in ("url", "request_url")}
        return [without_addresses(item) for item in value] if isinstance(value, list) else value

    expected = without_addresses(MANIFEST)
    expected["settings"]["socket_mode_enabled"] = True
    described = expected["display_information"]["long_description"]
    for deployed, here in (
        ("in your organisation's own AWS account", "on a machine of your organisation"),
        ("that account", "that machine"),
    ):
        assert deployed in described
        described = described.replace(deployed, here)
    expected["display_information"]["long_description"] = described
    assert yaml.safe_load(SOCKET_MODE) == expected
