"""How many CPUs this process may use."""

from __future__ import annotations

import os


def available_cpus() -> int:
    """Return how many CPUs this process may use. Only Linux can restrict them for a process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
