"""The playground: a web page to write messages in a local Slack, react, and watch the bot work."""
