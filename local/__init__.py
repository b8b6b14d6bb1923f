"""Run the bot on one machine, with a local Slack and with the events that AWS would pass to the functions."""

from toxicity_bot.command_line import guard_module

guard_module()
