"""The bot on one machine: a Slack to talk to, and what AWS would hand to the functions."""
