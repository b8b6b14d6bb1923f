"""Training: labelled messages and a checkpoint come in, a checkpoint that `python -m model_build` serves comes out.

`python -m model_build.train --help` says how; docs/training.md says what each choice gives.
"""
