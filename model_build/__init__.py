"""Build, train and evaluate the model that the bot serves. The bot itself imports nothing from this package.

`python -m model_build --help` lists the commands.
"""

from toxicity_bot.command_line import guard_module

guard_module()
