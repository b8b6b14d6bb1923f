"""The offline build stage: a checkpoint comes in, the model directory that the bot serves comes out.

Each step reads one folder and writes another, and can be run alone: `python -m model_build --help`. Torch and
transformers are allowed here; the bot imports nothing of this.
"""
