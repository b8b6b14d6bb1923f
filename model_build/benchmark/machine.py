"""What this machine is, as far as it decides how fast 8-bit models run, and which of its cores are measured."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from model_build.errors import ModelBuildError

# Without any of them 8-bit products are hardly faster than others; with AMX, which AWS Lambda does not promise, they
# are faster yet.
TELLING_FLAGS = ("avx2", "avx512_vnni", "avx_vnni", "amx_int8", "amx_bf16", "asimddp", "i8mm")
CPU_INFO = Path("/proc/cpuinfo")


def describe(cpu_info: str | None = None) -> str:
    """Return one line: the CPU, its cores, which of the telling flags it has, the system."""
    if cpu_info is None:
        cpu_info = CPU_INFO.read_text(encoding="utf-8") if CPU_INFO.is_file() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", cpu_info, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpu_info, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    telling = [f"{flag} {'yes' if flag in has else 'no'}" for flag in TELLING_FLAGS if flags]
    cpu = name[1] if name else platform.processor() or platform.machine()
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{cpu}, {os.cpu_count()} cores ({', '.join(telling) or 'flags unknown'}), {system}"


def cores(threads: int) -> list[int] | None:
    """Return the cores to pin to, one a thread, or nothing where the system cannot pin; raises if there are too few."""
    if not hasattr(os, "sched_getaffinity"):
        available = list(range(os.cpu_count() or 1))
    else:
        available = sorted(os.sched_getaffinity(0))
    if threads > len(available):
        raise ModelBuildError(
            f"{threads} threads need as many cores, this machine lends {len(available)}: pass --threads"
        )
    # The last ones: interrupts are mostly served by the first.
    return available[-threads:] if hasattr(os, "sched_setaffinity") else None
