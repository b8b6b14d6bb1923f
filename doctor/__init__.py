"""`make doctor` checks an installation with real calls; `make secret` stores the Slack app's credentials in it.

Each check is a generator: it yields findings and returns what later checks need. No check changes anything; only
`doctor.secret.store` writes, and only the stack's secret.
"""

from toxicity_bot.command_line import guard_module

guard_module()
