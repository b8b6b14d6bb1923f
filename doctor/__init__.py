"""`make doctor` checks an installation with real calls; `make secret` stores the Slack app's credentials in it.

Each check is a generator: it yields findings and returns the values that later checks need. Checks only read. The only
function that writes is `doctor.secret.store`, and it writes only to the stack's secret.
"""

from toxicity_bot.command_line import guard_module

guard_module()
