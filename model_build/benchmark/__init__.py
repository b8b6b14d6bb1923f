"""The comparison with every other runtime: a model directory comes in, docs/benchmark.{json,md,png} come out.

One module a family of runtimes, each loaded only where it is used: nothing here needs the others installed until it is
asked to measure them. `make benchmark` installs them and runs `python -m model_build.benchmark`.
"""


def benchmark() -> None:
    """Compare the model with other runtimes."""
