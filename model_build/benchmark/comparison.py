"""The whole comparison: runtimes are prepared, started, held to PyTorch's logits, measured, and reported.

Prints what it does and what it finds as it goes on; what it finds is returned or written by others.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_build.benchmark import machine, rounds
from model_build.benchmark.agreement import agreement
from model_build.benchmark.pytorch import TorchFp32
from model_build.benchmark.random_checkpoint import write_random_checkpoint
from model_build.benchmark.reference_ids import reference_ids
from model_build.benchmark.report import OURS
from model_build.benchmark.runtime_process import RuntimeProcess
from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_build.benchmark.folders import Folders
    from model_build.benchmark.rounds import Row
    from model_build.benchmark.runtimes import Runtime


@dataclass
class Findings:
    """Times by runtime, length and threads, and how far each runtime's logits are from PyTorch's."""

    rows: list[Row] = field(default_factory=list)
    agreement: dict[str, float] = field(default_factory=dict)


def prepare(runtimes: Sequence[type[Runtime]], folders: Folders) -> None:
    """Write what each runtime loads, and first the checkpoint, if there is none and somebody needs it."""
    if not folders.checkpoint.is_dir() and any(runtime.name != OURS for runtime in runtimes):
        print("prepare: a checkpoint with random weights", flush=True)
        write_random_checkpoint(folders.model, folders.checkpoint)
    for runtime in runtimes:
        print(f"prepare: {runtime.name}", flush=True)
        try:
            runtime.prepare(folders)
        except ModelBuildError:
            raise
        except Exception as error:  # the libraries' errors share no narrower type
            raise ModelBuildError(
                f"{runtime.name} cannot be built ({type(error).__name__}: {error}); "
                f"to go on without it, pass --without {runtime.name}"
            ) from error


def compare(
    runtimes: Sequence[type[Runtime]],
    folders: Folders,
    sequences: Mapping[int, Sequence[int]],
    samples: Mapping[int, int],
    thread_counts: Sequence[int],
) -> Findings:
    """Measure all runtimes at all lengths, for each number of threads in processes of their own."""
    findings = Findings()
    for threads in thread_counts:
        cores = machine.cores(threads)
        print(f"measure: {threads} thread{'s' if threads > 1 else ''}, median milliseconds", flush=True)
        with contextlib.ExitStack() as stack:
            processes = {
                runtime.name: stack.enter_context(RuntimeProcess(runtime, folders, threads, cores))
                for runtime in runtimes
            }
            for name, share in _agreement(processes, folders, threads, cores).items():
                findings.agreement[name] = max(share, findings.agreement.get(name, 0.0))
            findings.rows += rounds.measure(
                list(processes.values()), sequences, samples, threads, lambda line: print(line, flush=True)
            )
    return findings


def _agreement(
    processes: Mapping[str, RuntimeProcess], folders: Folders, threads: int, cores: Sequence[int] | None
) -> dict[str, float]:
    """Compare all but ours, which has weights of its own and was checked when it was prepared."""
    others = [process for name, process in processes.items() if name not in (OURS, TorchFp32.name)]
    if not others:
        return {}
    texts = reference_ids(folders.checkpoint)
    if TorchFp32.name in processes:
        return agreement(others, processes[TorchFp32.name], texts)
    with RuntimeProcess(TorchFp32, folders, threads, cores) as reference:
        return agreement(others, reference, texts)
