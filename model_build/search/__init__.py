"""Whether each choice of the build earns its place: a checkpoint comes in, docs/rewrites.md comes out.

The model is built as it ships and, for each candidate, once more with one choice turned round; all are measured side by
side. Run by hand, when a step or onnxruntime changes: `python -m model_build.search --help`.
"""
