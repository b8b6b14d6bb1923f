"""Evaluate models on labelled messages beside a simple baseline, and calibrate a model.

docs/evaluation/report.md is what `python -m model_build evaluate` wrote last.
"""
