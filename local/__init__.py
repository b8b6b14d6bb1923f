"""The bot on one machine: a Slack to talk to, and what AWS would hand to the functions."""

from toxicity_bot.command_line import guard_module

guard_module()
