"""One runtime in a process of its own, pinned to its cores and stopped while the others are measured.

So neither its threads, which some runtimes let spin after their work is done, nor its allocator or its OpenMP library
touch another's numbers, and each keeps the settings that suit it.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from model_build.benchmark.runtimes import RUNTIMES
from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from types import TracebackType

    from model_build.benchmark.folders import Folders
    from model_build.benchmark.runtimes import Runtime

# Read by the OpenMP libraries and by numpy's OpenBLAS when they are loaded, which importing this module does: a process
# must be born with them. Set later, two threads of OpenBLAS shared one core, and two small products took 15 ms.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SECONDS_TO_END = 10

# A turn begins with untimed runs for so long: the others' turns have emptied the caches, and weights of tens of
# megabytes come back slowly. The time of a run was seen to fall from 5.5 to 3.0 ms within the first 80 ms.
WARM_UP_SECONDS = 0.1


class RuntimeProcess:
    """Raises ModelBuildError if the runtime cannot be loaded or fails; use it in a `with` statement."""

    def __init__(self, runtime: type[Runtime], folders: Folders, threads: int, cores: Sequence[int] | None) -> None:
        self.name = runtime.name
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, runtime.name, folders, threads, cores), daemon=True)
        with _environment(dict.fromkeys(THREAD_VARIABLES, str(threads))):
            self._process.start()
        theirs.close()
        self._receive()
        self._stop()

    def milliseconds(self, ids: Sequence[int]) -> float:
        """Run the sequence until the caches are warm, then return the time of one run."""
        return float(self._ask(("time", ids)))

    def logits(self, ids: Sequence[int]) -> list[float]:
        """Return what the runtime makes of the sequence."""
        return [float(logit) for logit in self._ask(("logits", ids))]

    def __enter__(self) -> RuntimeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()  # tells the process to end
        self._signal(signal.SIGCONT)
        self._process.join(SECONDS_TO_END)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _ask(self, question: tuple[str, Sequence[int]]) -> Any:
        self._signal(signal.SIGCONT)
        try:
            self._pipe.send(question)
        except OSError as error:
            raise self._ended() from error
        answer = self._receive()
        self._stop()
        return answer

    def _receive(self) -> Any:
        try:
            kind, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if kind == "error":
            raise ModelBuildError(f"{self.name} fails: {answer}; to go on without it, pass --without {self.name}")
        return answer

    def _ended(self) -> ModelBuildError:
        self._process.join(SECONDS_TO_END)
        return ModelBuildError(
            f"the process of {self.name} ended by itself with status {self._process.exitcode}, perhaps for lack of "
            f"memory; to go on without it, pass --without {self.name}"
        )

    def _stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, number)


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, name: str, folders: Folders, threads: int, cores: Sequence[int] | None) -> None:
    """Load the runtime, then answer until the pipe closes."""
    # A group of its own: when a group loses its shell while one of its processes is stopped, the system hangs up on all
    # of it. So that happens only to this process, and only if the one that asks is gone.
    os.setpgid(0, 0)
    if cores is not None:
        os.sched_setaffinity(0, cores)
    try:
        runtime = next(runtime for runtime in RUNTIMES if runtime.name == name)(folders, threads)
        gc.collect()
        gc.disable()  # a collection is no part of an answer
        pipe.send(("ready", None))
        while True:
            kind, ids = pipe.recv()
            pipe.send(("answer", runtime.logits(ids) if kind == "logits" else _milliseconds(runtime, ids)))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:  # whatever a runtime raises is told to the process that asked
        pipe.send(("error", f"{type(error).__name__}: {error}"))


def _milliseconds(runtime: Runtime, ids: Sequence[int]) -> float:
    warm = time.perf_counter() + WARM_UP_SECONDS
    while time.perf_counter() < warm:
        runtime.logits(ids)
    started = time.perf_counter()
    runtime.logits(ids)
    return (time.perf_counter() - started) * 1000
