"""Training: make a checkpoint that `python -m model_build build` serves; docs/training.md is the manual."""
