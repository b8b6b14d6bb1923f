"""Compare models with a simple baseline on labelled messages, and calibrate a model.

docs/evaluation/report.md is the latest report by `python -m model_build evaluate`.
"""
