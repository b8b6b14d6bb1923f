"""Socket Mode: the bot on one machine, with a queue and a ledger in a SQLite file in place of AWS's."""
