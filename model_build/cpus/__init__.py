"""The same model on every CPU that the bot may be given: real scores under emulation beside the scores of this one.

Lambda promises AVX2 on x86_64 and NEON on arm64; most machines that build a model have more. `python -m
model_build.cpus --help`; what was found stands in `docs/cpus.md`.
"""
