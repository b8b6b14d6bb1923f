"""slack/socket_mode.yaml is slack/manifest.yaml, which has tests of its own, for an app without addresses."""

from __future__ import annotations

from typing import Any

import yaml

from tests import ROOT


def manifest(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "slack" / name).read_text(encoding="utf-8")))


def without_addresses(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_addresses(item) for key, item in value.items() if key not in ("url", "request_url")}
    return [without_addresses(item) for item in value] if isinstance(value, list) else value


def test_it_differs_from_the_manifest_of_a_deployed_bot_only_where_it_must() -> None:
    expected, found = without_addresses(manifest("manifest.yaml")), manifest("socket_mode.yaml")
    expected["settings"]["socket_mode_enabled"] = True
    of_aws = ("AWS account", "that account")
    described = expected["display_information"]["long_description"]
    assert all(words in described for words in of_aws)
    described = described.replace("in your organisation's own AWS account", "on a machine of your organisation")
    expected["display_information"]["long_description"] = described.replace("that account", "that machine")
    assert found == expected
