"""The numbered failures of the bot: `python -m tests.failures` runs the tests of each and prints a table."""
