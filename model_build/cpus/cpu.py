"""The CPUs that are compared: for each, the command that runs Python as on it, and a way to score texts there.

Each is emulated by QEMU's user mode: one program, no virtual machine, no privileges. Knows nothing of what is compared.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_build.cpus import arm64_root
from model_build.cpus.products import CONTROL
from model_build.cpus.programs import checked, require
from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parent.parent.parent

# What a Haswell has and QEMU lacks is left out, or it warns of each; none of it is arithmetic.
HASWELL = "Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid"
ARM64 = "neoverse-n1"


@dataclass(frozen=True)
class Cpu:
    """`command` and `environ` run Python there; `processes` share the work, since an emulated CPU is slow."""

    name: str
    description: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    emulator: str = ""
    processes: int = 1


@dataclass(frozen=True)
class Answer:
    """The toxicity of each text; seconds that one took; how far off the products are, the model's and the control."""

    scores: tuple[float, ...]
    seconds: float
    architecture: str
    product_errors: Mapping[str, int]
    control_error: int


def native() -> Cpu:
    """Return the CPU of the machine itself, with which the others are compared."""
    return Cpu("native", f"{_model_name()}, {platform.machine()}", (sys.executable,))


def haswell(_build: Path) -> Cpu:
    """Return an x86_64 CPU with AVX2 and no VNNI, the least that Lambda promises; Python is this very one."""
    if platform.machine() != "x86_64":
        raise ModelBuildError(
            f"haswell is emulated with this machine's own Python, which is for {platform.machine()}: run it on x86_64"
        )
    qemu = require("qemu-x86_64-static", "qemu-user-static")
    # Python finds its virtual environment by its own name, which QEMU takes apart from the file that it runs.
    command = (qemu, "-cpu", HASWELL, "-0", sys.executable, str(Path(sys.executable).resolve()))
    return _emulated("haswell", "x86_64 with AVX2 and no VNNI", command, {})


def arm64(build: Path) -> Cpu:
    """Return an arm64 CPU as in Graviton2, Neoverse N1; its Python and its wheels are kept in `build`."""
    qemu = require("qemu-aarch64-static", "qemu-user-static")
    root = arm64_root.make(build / "arm64", ROOT / "requirements" / "runtime.txt")
    command = (qemu, "-cpu", ARM64, "-L", str(root.system), str(root.python))
    return _emulated("arm64", "arm64 with NEON and dot products (Neoverse N1)", command, {"PYTHONPATH": str(root.site)})


KINDS = {"haswell": haswell, "arm64": arm64}


def score(cpu: Cpu, model: Path, texts: Sequence[str], products: Path) -> Answer:
    """Score the texts on that CPU, `cpu.processes` shares of them at a time, and multiply `products` there once."""
    count = min(cpu.processes, len(texts))
    requests = [
        {
            "name": cpu.name,
            "model": str(model.resolve()),
            "texts": texts[first::count],
            "products": None if first else str(products.resolve()),
        }
        for first in range(count)
    ]
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(lambda request: _ask(cpu, request), requests))
    scores = [0.0] * len(texts)
    for first, answer in enumerate(answers):
        scores[first::count] = answer["scores"]
    seconds = sum(answer["seconds"] for answer in answers) / len(texts)
    errors = answers[0]["product_errors"]
    control = errors.pop(CONTROL)
    return Answer(tuple(scores), seconds, answers[0]["architecture"], errors, control)


def _ask(cpu: Cpu, request: Mapping[str, Any]) -> Any:
    """Texts go in by stdin, so that none is left on a disk or in a list of processes; progress goes to our stderr."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        [*cpu.command, "-m", "model_build.cpus.scorer"],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", **cpu.environ},
    )
    if done.returncode:
        raise ModelBuildError(f"{cpu.name}: scoring ended with status {done.returncode}; what it said stands above")
    return json.loads(done.stdout)


def _emulated(name: str, description: str, command: tuple[str, ...], environ: Mapping[str, str]) -> Cpu:
    version = checked([command[0], "--version"], f"{name}: the emulator does not start").splitlines()[0]
    return Cpu(name, description, command, environ, f"{version}, -cpu {command[2]}", len(os.sched_getaffinity(0)))


def _model_name() -> str:
    names = Path("/proc/cpuinfo")
    lines = names.read_text(encoding="utf-8").splitlines() if names.is_file() else []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or "unnamed CPU"
