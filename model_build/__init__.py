"""Make, train and evaluate the model that the bot serves; the bot imports nothing from here.

`python -m model_build --help` lists the commands.
"""

from toxicity_bot.command_line import guard_module

guard_module()
