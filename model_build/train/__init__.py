"""Train checkpoints for `python -m model_build build`. docs/training.md is the manual."""
