"""Socket Mode: the bot on one machine, with its queue and ledger in a SQLite file instead of AWS."""
