"""The programs that emulation needs: found, or installed where this process may, or asked for in one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess

from model_build.errors import ModelBuildError


def require(program: str, package: str) -> str:
    """Return where the program is; root on Debian or Ubuntu gets its package installed first if it is missing."""
    if (found := shutil.which(program)) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"cpus: installing {package}, for {program} ..", flush=True)
        checked(["apt-get", "update", "-qq"], f"{package} cannot be installed")
        checked(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], f"{package} cannot be installed"
        )
        found = shutil.which(program)
    if found is None:
        raise ModelBuildError(f"{program} is missing: sudo apt-get install {package}")
    return found


def checked(command: list[str], failure: str) -> str:
    """Run a command and return what it printed; raises ModelBuildError with its last lines if it fails."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-5:])
        raise ModelBuildError(f"{failure}: {command[0]} ended with status {done.returncode}\n{last}")
    return done.stdout
