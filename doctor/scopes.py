"""The scopes that the bot needs, each with its reason, as `slack/manifest.yaml` gives them to people."""

from __future__ import annotations

import re
from pathlib import Path

MANIFEST = Path(__file__).parent.parent / "slack" / "manifest.yaml"

_LINE = re.compile(r"^ +- ([a-z]+:[a-z]+) +# (.+)$", re.MULTILINE)


def needed() -> dict[str, str]:
    """Return what the bot does with each scope, in the manifest's order."""
    return dict(_LINE.findall(MANIFEST.read_text(encoding="utf-8")))
