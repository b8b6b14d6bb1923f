"""A Python for arm64 with the bot's wheels, as a folder that QEMU reads instead of this machine's system.

Debian's packages are unpacked and never set up, so that neither a chroot nor a kernel that knows arm64 is needed. It is
made once, in minutes, and again when the pinned wheels change.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_build.cpus.programs import checked, require
from model_build.errors import ModelBuildError
from model_build.source import sha256

if TYPE_CHECKING:
    from pathlib import Path

SUITE = "bookworm"
PYTHON = "3.11"  # that suite's
PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")

# From what every arm64 wheel runs on to what the suite's C library (2.36) still runs.
PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_24", "manylinux_2_27", "manylinux_2_28", "manylinux_2_34")

# onnxruntime asks the system which CPU this is, and crashes when it reads of x86_64 caches. It is told of one Neoverse
# N1, as Linux describes it; instructions are still those that QEMU's `-cpu` has.
DESCRIPTION = {
    "proc/cpuinfo": """processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1
""",
    "sys/devices/system/cpu/possible": "0\n",
    "sys/devices/system/cpu/present": "0\n",
}


@dataclass(frozen=True)
class Arm64Root:
    """The system's files, and beside them the wheels."""

    folder: Path

    @property
    def system(self) -> Path:
        return self.folder / "system"

    @property
    def python(self) -> Path:
        return self.system / "usr" / "bin" / f"python{PYTHON}"

    @property
    def site(self) -> Path:
        return self.folder / "site"

    @property
    def stamp(self) -> Path:
        """Written last: the checksum of the pinned wheels that the folder holds."""
        return self.folder / "wheels.sha256"


def make(folder: Path, requirements: Path) -> Arm64Root:
    """Return the root in `folder`, made if it is missing, unfinished or of other wheels."""
    root, wanted = Arm64Root(folder), sha256(requirements)
    if root.stamp.is_file() and root.stamp.read_text(encoding="utf-8") == wanted:
        return root
    if (running := running_python()) != PYTHON:
        raise ModelBuildError(
            f"the arm64 root has Python {PYTHON} and is made by the same, not by {running}: "
            f"make .venv-build anew with PYTHON=python{PYTHON}"
        )
    debootstrap = require("debootstrap", "debootstrap")
    if os.geteuid():
        raise ModelBuildError("debootstrap unpacks a system as root only: use sudo, or leave arm64 out of --cpu")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"cpus: making the arm64 root in {folder}, once; a few minutes ..", flush=True)
    _unpack(debootstrap, root.system)
    _describe_cpu(root.system)
    _install(root.site, requirements)
    root.stamp.write_text(wanted, encoding="utf-8")
    return root


def running_python() -> str:
    """Return the version of this interpreter as far as wheels care."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _unpack(debootstrap: str, system: Path) -> None:
    arguments = ["--foreign", "--arch=arm64", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE]
    checked([debootstrap, *arguments, str(system)], "the arm64 system cannot be fetched")
    # The rest of what it fetched it leaves to a second stage, which would have to run arm64 programs.
    for name in (system / "debootstrap" / "base").read_text(encoding="utf-8").split():
        (package,) = (system / "var" / "cache" / "apt" / "archives").glob(f"{name}_*.deb")
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as files:  # noqa: S603, S607
            # /lib is a link to usr/lib, and stays one.
            unpacking = ["tar", "-C", str(system), "-x", "--keep-directory-symlink"]
            unpacked = subprocess.run(unpacking, stdin=files.stdout, check=False)  # noqa: S603
        if files.returncode or unpacked.returncode:
            raise ModelBuildError(f"{package} cannot be unpacked: remove {system.parent} and run it again")


def _describe_cpu(system: Path) -> None:
    if (system / "proc").is_symlink():  # as debootstrap leaves it, to this machine's own
        (system / "proc").unlink()
    for name, content in DESCRIPTION.items():
        (system / name).parent.mkdir(parents=True, exist_ok=True)
        (system / name).write_text(content, encoding="utf-8")


def _install(site: Path, requirements: Path) -> None:
    platforms = [f"--platform={name}_aarch64" for name in PLATFORMS]
    arguments = ["--quiet", "--only-binary=:all:", f"--python-version={PYTHON}", "--no-deps", "--require-hashes"]
    checked(
        [sys.executable, "-m", "pip", "install", *arguments, *platforms, f"--target={site}", "-r", str(requirements)],
        "the arm64 wheels cannot be installed",
    )
