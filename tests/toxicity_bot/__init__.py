"""The bot, module by module, between a local Slack and embedded AWS."""

from pathlib import Path

import yaml

READINGS = yaml.safe_load(Path(__file__).with_name("readings.yaml").read_text(encoding="utf-8"))
