"""Every failure that the bot meets, on the real path; `python -m tests.failures` shows them as a table."""
