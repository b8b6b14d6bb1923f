"""Labelled messages and models come in; how good each model is comes out, beside a baseline that no model may lose to.

`python -m model_build.evaluate --help` says how; docs/evaluation/report.md is what it wrote last.
"""
