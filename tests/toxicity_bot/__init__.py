"""The bot, module by module, between a local Slack and embedded AWS."""
