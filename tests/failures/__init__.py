"""The bot's numbered failure scenarios. `python -m tests.failures` runs their tests and prints a table."""
