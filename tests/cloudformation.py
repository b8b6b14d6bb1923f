"""Read CloudFormation templates. Short tags such as !Ref and !Sub become their long form, {"Ref": ...}."""

from pathlib import Path
from typing import Any

import yaml

from tests import ROOT

TEMPLATE = ROOT / "template.yaml"


class _Loader(yaml.SafeLoader):
    """A safe loader with CloudFormation's functions."""


def _function(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {name: loader.construct_mapping(node, deep=True)}
    value = str(loader.construct_scalar(node))  # type: ignore[arg-type]  # neither a sequence nor a mapping
    return {name: value.split(".", 1) if tag == "GetAtt" else value}


_Loader.add_multi_constructor("!", _function)


def template(path: Path = TEMPLATE) -> dict[str, Any]:
    """Return the template with all tags in their long form."""
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    return loaded
