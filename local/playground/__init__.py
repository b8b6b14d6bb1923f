"""The playground: a page in which people talk in the local Slack, react, and see the bot at work."""
